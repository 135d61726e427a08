"""The page of `keras-vtr serve` in headless Chromium; `pytest -m browser`."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.data import picture_files as pictures
from tests.serving import stand_in
from tests.serving.chromium import choose
from tests.serving.chromium import find
from tests.serving.chromium import set_threshold

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(signatures):
    with stand_in.serve_rest("digit_detr", signatures) as rest:
        yield rest


@pytest.fixture
def page(browser, server):
    browser.get(server)
    return browser


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


@pytest.mark.parametrize("kind", ["objects", "segments"])
def test_masks_are_drawn_over_the_picture(browser, kind, tmp_path):
    """One object at the left, one below it at the right."""
    numbers = np.zeros((40, 60), "uint8")
    numbers[:20, :30], numbers[30:, 40:] = 1, 2
    answer = {"scores": [0.9, 0.8, 0.0], "labels": [1, 0, -1], "ok": 1}
    tones = [1, 0]
    if kind == "objects":
        masks = [encoded(255 * (numbers == x).astype("uint8")) for x in (1, 2)]
        answer["mask_bytes"] = [*masks, b""]
        answer["boxes"] = [[0, 0, 30, 20], [40, 30, 60, 40], [0, 0, 0, 0]]
    else:
        answer["map_bytes"], tones = encoded(numbers), [0, 1]
    (tmp_path / "gray.png").write_bytes(encoded(np.full((40, 60), 100, "u1")))
    signatures = {"serving_default": stand_in.Fixed(answer)}
    with stand_in.serve_rest("digit_detr", signatures) as rest:
        browser.get(rest)
        assert choose(browser, tmp_path / "gray.png").startswith("2 found")
        canvas = find(browser, "#canvas")
        screen = Image.open(io.BytesIO(canvas.screenshot_as_png))
    found = np.array(screen.convert("RGB")).astype(int)
    scale = screen.width / 60
    half = [(100 + np.array(color(browser, tone))) / 2 for tone in tones]
    for (x, y), expected in (
        ((25, 15), half[0]),
        ((58, 38), half[1]),
        ((25, 30), [100] * 3),
    ):
        pixel = found[int(y * scale), int(x * scale)]
        assert abs(pixel - expected).max() < 12, (x, y, pixel, expected)


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


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
