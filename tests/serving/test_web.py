"""The format "web" in headless Chromium; `pytest -m browser`."""

import base64
import contextlib
import functools
import http.server
import json
import shutil
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vtr
from keras_vtr.data.pictures.preparation import classifier_input
from keras_vtr.serving import export_classifier
from keras_vtr.serving import export_detector
from keras_vtr.serving import web
from tests.data import picture_files as pictures
from tests.serving.chromium import choose
from tests.serving.chromium import find
from tests.serving.chromium import set_threshold
from tests.serving.conftest import NAMES
from tests.serving.conftest import SIZE
from tests.tiny_models import tiny_detr
from tests.tiny_models import tiny_vit

IN_PAGE = """
const [text, type, name, config, done] = arguments;
const bytes = Uint8Array.from(atob(text), (x) => x.charCodeAt(0));
const file = new File([bytes], name, { type });
const work = {
  ask: async (picture) => (await ask(file, picture)).map((row) => {
    const canvas = row.mask();
    const { data } = canvas.getContext("2d")
      .getImageData(0, 0, canvas.width, canvas.height);
    return { ...row, mask: Array.from(data.filter((_, i) => i % 4 === 3)) };
  }),
  prepare: async (picture) =>
    Array.from(prepare(await pixelsOf(file, picture, config), config)),
};
read(file).then(work[config ? "prepare" : "ask"]).then(done, (error) =>
  done({ error: error.message }));
"""


def in_page(page, image_bytes, config=None):
    """What the page detects in a file; or, of a config, the model's input."""
    is_jpeg = image_bytes.startswith(b"\xff\xd8")
    kind = "image/jpeg" if is_jpeg else "image/png"
    text = base64.b64encode(image_bytes).decode()
    found = page.execute_async_script(IN_PAGE, text, kind, "file", config)
    if isinstance(found, dict):
        raise ValueError(found["error"])
    return found


def wait_until_loaded(page):
    error = page.execute_async_script(
        "const [done] = arguments;"
        "loaded.then(() => done(''), (error) => done(error.message));"
    )
    assert not error, error


@contextlib.contextmanager
def static_host(folder):
    """Yields the address of a folder, served as by `python -m http.server`."""
    handler = http.server.SimpleHTTPRequestHandler
    quiet = type("Quiet", (handler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(quiet, directory=folder)
    )
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """A detector with masks, and its folder."""
    keras.utils.set_random_seed(7)
    change = {"hidden_dim": 16, "num_heads": 8, "masks": True}
    names = (*NAMES[:2], "three")
    model = tiny_detr(image_shape=(*SIZE, 3), class_names=names, **change)
    folder = tmp_path_factory.mktemp("web") / "detr"
    return model, export_detector(model, folder, format="web")


@pytest.fixture
def page(masked, browser):
    with static_host(masked[1]) as address:
        browser.get(address)
        wait_until_loaded(browser)
        yield browser


@pytest.mark.browser
def test_the_browser_detects_what_keras_does(page, masked):
    for image_bytes in (
        pictures.encode(pictures.picture(70, 50)),
        pictures.turned_jpeg(6, height=40, width=61),
        pictures.kinds()["rgba png"],
    ):
        image = keras_vtr.data.decode_image(image_bytes).numpy()
        (expected,) = keras_vtr.detect(masked[0], [image], score_threshold=0.0)
        found = in_page(page, image_bytes)
        assert [x["name"] for x in found] == list(expected["names"])
        for key, one, most in (
            ("scores", "score", 1e-3),
            ("boxes", "box", 0.1),
        ):
            value = [x[one] for x in found]
            np.testing.assert_allclose(value, expected[key], atol=most)
        masks = np.array([x["mask"] for x in found]).reshape(
            expected["masks"].shape
        )
        assert set(np.unique(masks)) == {0, 255}
        # Where a logit is nearly 0, rounding decides.
        assert np.mean((masks > 0) != expected["masks"]) < 1e-3


@pytest.mark.browser
@pytest.mark.parametrize(("channels", "crop"), [(1, False), (3, True)])
def test_a_picture_is_prepared_as_in_tensorflow(page, channels, crop):
    model = tiny_vit(image_shape=(24, 40, channels), patch_size=8)
    resizing = keras.layers.Resizing(
        24, 40, antialias=crop, crop_to_aspect_ratio=crop
    )
    preparation, words = classifier_input(model, resizing)
    config = {
        "image_shape": preparation.image_shape,
        "resizing": words,
        **preparation.limits,
    }
    config = json.loads(json.dumps(config, default=str))
    files = {**pictures.kinds(), "turned": pictures.turned_jpeg(8)}
    for kind, image_bytes in files.items():
        expected, _, (ok,) = preparation.read_bytes(tf.constant([image_bytes]))
        found = in_page(page, image_bytes, config)
        if not ok:  # what TensorFlow refuses, and a browser reads
            assert channels == 1 and kind == "cmyk jpeg"
            continue
        error = np.reshape(found, preparation.image_shape) - expected[0]
        # TensorFlow takes the luma that a JPEG stores, the page that of its
        # colors, which have been cut off at 0 and 255.
        is_luma = channels == 1 and image_bytes.startswith(b"\xff\xd8")
        assert np.abs(error).max() < (5 if is_luma else 1e-3), kind
        assert np.abs(error).mean() < (0.3 if is_luma else 1e-3), kind


@pytest.mark.browser
def test_what_is_no_picture_is_told_in_the_page(page):
    good = pictures.encode(pictures.picture())
    limits = {"max_bytes": len(good), "max_pixels": 23 * 37 - 1}
    config = {"image_shape": [*SIZE, 3], "resizing": {"kind": "stretched"}}
    with pytest.raises(ValueError, match="is too large: at most"):
        in_page(page, good, {**config, **limits})
    cut = [*pictures.truncated("PNG"), *pictures.truncated("JPEG")]
    bad = {**pictures.bad(), **dict(enumerate(cut))}
    for name, image_bytes in bad.items():
        with pytest.raises(ValueError, match=r"is not a JPEG or PNG|too large"):
            print(name, in_page(page, image_bytes))


@pytest.mark.browser
def test_a_loaded_page_needs_no_network(masked, browser, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(pictures.encode(pictures.picture()))
    with static_host(masked[1]) as address:
        browser.get(address)
        wait_until_loaded(browser)
        asked = browser.execute_script(
            "return performance.getEntriesByType('resource').map(x => x.name)"
        )
        assert len(asked) >= 4
        assert all(x.startswith(address) for x in asked), asked
    # Its server has ended.
    set_threshold(browser, 0)
    said = choose(browser, path)
    assert said.startswith("4 found in") and said.endswith("37 x 23 pixels")
    assert find(browser, "#canvas").is_displayed()
    browser.get(f"file://{masked[1]}/index.html")
    end = time.monotonic() + 30
    while "http.server" not in find(browser, "#status").text:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.browser
def test_a_classifier_shows_its_labels(browser, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(pictures.encode(pictures.picture()))
    model = tiny_vit()
    folder = export_classifier(model, tmp_path / "vit", format="web")
    with static_host(folder) as address:
        browser.get(address)
        assert "found in" in choose(browser, path)
    rows = browser.find_elements("css selector", "#found tbody tr")
    scores = [float(row.text.split()[1]) for row in rows]
    assert len(rows) == min(10, model.output_shape[1])
    assert scores == sorted(scores, reverse=True) and sum(scores) > 0.5


def test_what_the_page_cannot_do_is_refused_before_npm_runs(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    folder = tmp_path / "model"
    resizing = keras.layers.Resizing(24, 32, interpolation="nearest")
    with pytest.raises(ValueError, match="interpolation='nearest'"):
        export_classifier(tiny_vit(), folder, format="web", resizing=resizing)
    with pytest.raises(ValueError, match="for the task 'features'"):
        keras_vtr.serving.export_features(tiny_vit(), folder, format="web")
    padded = tiny_detr(padding="published")
    with pytest.raises(ValueError, match="padding mask"):
        export_detector(padded, folder, format="web")
    with pytest.raises(FileNotFoundError, match="needs npm"):
        export_detector(tiny_detr(), folder, format="web")
    # Or npm finds nothing.
    failing = tmp_path / "npm"
    failing.write_text("#!/bin/sh\necho 'npm error ENOTFOUND' >&2; exit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(failing))
    with pytest.raises(OSError, match=rf"{web.PACKAGE}` failed: .*ENOTFOUND"):
        export_detector(tiny_detr(), folder, format="web")
    assert not folder.exists()
