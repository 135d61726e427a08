"""examples/serve/viewer.html in headless Chromium; `pytest -m browser`."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from tests.data import picture_files as pictures
from tests.serving import stand_in
from tests.serving.conftest import SERVE

pytestmark = pytest.mark.browser

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1000,800",
    "--force-device-scale-factor=1",
)


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ARGUMENTS:
        options.add_argument(argument)
    service = webdriver.ChromeService("/usr/bin/chromedriver")
    driver = webdriver.Chrome(options, service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def server(signatures):
    with stand_in.serve("digit_detr", signatures) as (rest, _):
        yield rest


@pytest.fixture
def page(browser, server):
    browser.get(f"file://{SERVE / 'viewer.html'}?server={server}")
    return browser


def find(page, selector):
    return page.find_element("css selector", selector)


def choose(page, path):
    """Chooses a file and returns what the page says then."""
    find(page, "#file").send_keys(str(path))
    end = time.monotonic() + 30
    while time.monotonic() < end:
        text = find(page, "#status").text
        if text and not text.startswith("Asking"):
            return text
        time.sleep(0.05)
    raise TimeoutError(text)


def set_threshold(page, value):
    page.execute_script(
        "const x = document.getElementById('threshold');"
        "x.value = arguments[0];"
        "x.dispatchEvent(new Event('input'))",
        value,
    )


def test_boxes_are_drawn_where_the_model_found_something(page, ask, tmp_path):
    image_bytes = pictures.turned_jpeg(6, height=90, width=60)
    (tmp_path / "turned.jpg").write_bytes(image_bytes)
    set_threshold(page, 0)
    said = choose(page, tmp_path / "turned.jpg")
    assert said.startswith("4 found in") and said.endswith("90 x 60 pixels")
    answer = ask([image_bytes])
    rows = page.find_elements("css selector", "#found tbody tr")
    for row, score, name in zip(
        rows, answer["scores"][0], answer["label_names"][0], strict=True
    ):
        cells = [x.text for x in row.find_elements("css selector", "td")]
        assert cells[:2] == [name.decode(), f"{score:.3f}"]
    # The box drawn last is on top; on the screen its edges have its color.
    canvas = find(page, "#canvas")
    screen = Image.open(io.BytesIO(canvas.screenshot_as_png)).convert("RGB")
    scale = screen.width / 90
    assert abs(screen.height - 60 * scale) < 2  # not distorted
    x0, y0, x1, y1 = answer["boxes"][0][-1] * scale
    label = int(answer["labels"][0][-1])
    expected = color(page, label)
    found = np.array(screen).astype(int)
    for x, y in ((x0, (y0 + y1) / 2), ((x0 + x1) / 2, y1)):
        near = found[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3]
        assert (abs(near - expected).sum(axis=-1) < 60).any(), (x, y)


def color(page, label):
    """The color of a label as red, green and blue."""
    return page.execute_script(
        "const x = document.createElement('canvas').getContext('2d');"
        "x.fillStyle = color(arguments[0]); x.fillRect(0, 0, 1, 1);"
        "return Array.from(x.getImageData(0, 0, 1, 1).data).slice(0, 3)",
        label,
    )


def test_the_least_score_hides_the_rest(page, tmp_path):
    (tmp_path / "a.png").write_bytes(pictures.encode(pictures.picture()))
    set_threshold(page, 0)
    assert choose(page, tmp_path / "a.png").startswith("4 found")
    set_threshold(page, 1)
    assert find(page, "#status").text.startswith("0 found")
    assert not page.find_elements("css selector", "#found tbody tr")


def test_errors_are_shown(page, tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    assert "is not a JPEG or PNG" in choose(page, tmp_path / "bad.png")
    assert find(page, "#hint").is_displayed()
    (tmp_path / "a.png").write_bytes(pictures.encode(pictures.picture()))
    find(page, "#model").send_keys("_other")
    page.execute_script("say('')")
    assert "Servable not found" in choose(page, tmp_path / "a.png")
    find(page, "#server").clear()
    find(page, "#server").send_keys("http://127.0.0.1:9")
    page.execute_script("say('')")
    assert "--enable_cors_support" in choose(page, tmp_path / "a.png")
