"""Bad requests get an answer and affect no other request."""

import subprocess
import sys

import numpy as np
import pytest

from tests.data import picture_files as pictures
from tests.serving.conftest import SIZE

# Peak memory, in MiB, that one request, or many corrupt requests, add to a
# process that has answered before.
MEASURE = """
import resource, sys
import numpy as np, tensorflow as tf
from tests.data import picture_files as pictures

loaded = tf.saved_model.load(sys.argv[1])
detect = loaded.signatures["serving_default"]
good = pictures.encode(pictures.picture(), "JPEG")

def ask(image_bytes):
    answer = detect(image_bytes=tf.constant([image_bytes, good]))
    assert answer["ok"].numpy()[1] == 1
    return answer["ok"].numpy()[0]

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

bomb = pictures.bad()["a bomb"]
for _ in range(3):
    ask(good)
"""
BOMB = (
    MEASURE
    + """
before = peak()
assert len(bomb) < 600_000 and ask(bomb) == 0
print(peak() - before)
"""
)
MANY = (
    MEASURE
    + """
rng = np.random.default_rng(0)
starts = (b"", b"\\xff\\xd8\\xff", b"\\x89PNG\\r\\n\\x1a\\n", good[:200], good)

def some(i):
    start = starts[i % len(starts)]
    if start is good:
        start = bytearray(good)
        start[rng.integers(len(good))] = rng.integers(256)
    return bytes(start) + rng.bytes(rng.integers(200))

number = int(sys.argv[2])
for i in range(300):
    ask(some(i))
before = peak()
for i in range(number):
    ask(some(i))
print(peak() - before)
"""
)


@pytest.mark.parametrize("kind", pictures.kinds())
def test_every_kind_of_picture_is_read(ask, kind):
    answer = ask([pictures.kinds()[kind]])
    assert answer["ok"].tolist() == [1]
    assert np.isfinite(answer["boxes"]).all() and answer["scores"].all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_answered_as_upright(ask, orientation):
    turned = pictures.turned_jpeg(orientation)
    upright = pictures.encode(
        pictures.Image.fromarray(pictures.decoded(turned))
    )
    answer, expected = ask([turned]), ask([upright])
    for key, value in expected.items():
        np.testing.assert_array_equal(answer[key], value)


@pytest.mark.parametrize("name", pictures.bad())
def test_what_is_no_picture_is_told(ask, name):
    good = pictures.kinds()["png"]
    answer = ask([pictures.bad()[name], good])
    assert answer["ok"].tolist() == [0, 1]
    assert (answer["labels"][0] == -1).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated_pictures_are_not_ok(ask, kind):
    answer = ask(pictures.truncated(kind))
    assert not answer["ok"].any()


def test_a_number_is_no_image(signatures):
    with pytest.raises(TypeError, match="string"):
        signatures["serving_default"](image_bytes=np.float32([1.0]))


def test_images_without_pixels_are_an_error(signatures):
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["images"](images=tf.zeros((1, 0, SIZE[1], 3), tf.uint8))


def measure(program, *arguments):
    command = [sys.executable, "-c", program, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    return float(run.stdout)


@pytest.mark.slow
def test_a_bomb_costs_no_memory(detector):
    assert measure(BOMB, detector[1]) < 50


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(700, marks=pytest.mark.slow),
        pytest.param(10_000, marks=pytest.mark.long),
    ],
)
def test_random_requests_need_bounded_memory(number, detector):
    assert measure(MANY, detector[1], number) < 50
