"""Images per second, from JPEG files to a batch that DETR trains on.

    pip install -e ".[benchmarks]" && python benchmarks/loading.py

64 JPEGs of 480 x 640 (scikit-learn's two photographs, cut and scaled) to
batches of 4, augmented as DETR does it: `detection_dataset`, and the same steps
with Pillow and NumPy in two processes, as torchvision's loader works with a
torch.utils.data.DataLoader. Medians of five rounds in turns. Takes 35 seconds
on two cores.
"""

import concurrent.futures
import pathlib
import random
import statistics
import tempfile
import time

import numpy as np
from PIL import Image
from runtimes import tensorflow
from sklearn.datasets import load_sample_images

NUM_IMAGES, BATCH, BATCHES = 64, 4, 60
SIDES, LONGEST, CROPS = (480, 512, 544, 576, 608, 640), 1067, (400, 500, 600)


def write(folder):
    rng = random.Random(0)
    photographs = [Image.fromarray(x) for x in load_sample_images().images]
    paths = []
    for i in range(NUM_IMAGES):
        left, top = rng.randrange(100), rng.randrange(60)
        box = (left, top, left + 500, top + 360)
        picture = photographs[i % 2].crop(box).resize((640, 480))
        paths.append(str(folder / f"{i}.jpg"))
        picture.save(paths[-1], quality=90)
    return paths


def with_pillow(arguments):
    """One image through the same decisions as `keras_vtr.data.augment`."""
    path, seed = arguments
    rng = random.Random(seed)
    picture = Image.open(path).convert("RGB")
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.5:
        picture = resize(picture, rng.choice(CROPS))
        width, height = (
            rng.randint(min(384, side), min(600, side)) for side in picture.size
        )
        left = rng.randint(0, picture.width - width)
        top = rng.randint(0, picture.height - height)
        picture = picture.crop((left, top, left + width, top + height))
    return np.asarray(resize(picture, rng.choice(SIDES)), "float32")


def resize(picture, short_side):
    scale = min(short_side / min(picture.size), LONGEST / max(picture.size))
    size = [round(side * scale) for side in picture.size]
    return picture.resize(size, Image.Resampling.BILINEAR)


def pillow_batches(pool, paths, first):
    """Padded batches, two processes reading ahead."""
    numbers = range(first, first + BATCH * BATCHES)
    images = pool.map(
        with_pillow,
        [(paths[i % NUM_IMAGES], i) for i in numbers],
        chunksize=BATCH,
    )
    for _ in range(BATCHES):
        batch = [next(images) for _ in range(BATCH)]
        sides = np.max([x.shape[:2] for x in batch], axis=0)
        padded = np.zeros((BATCH, *sides, 3), "float32")
        for row, image in zip(padded, batch, strict=True):
            row[: image.shape[0], : image.shape[1]] = image
        yield padded


def main():
    tensorflow()
    from keras_vtr.data import DetectionRecords
    from keras_vtr.data import detection_dataset

    folder = pathlib.Path(tempfile.mkdtemp())
    paths = write(folder)
    record = {
        "shape": (480, 640),
        "boxes": np.array([[50, 50, 300, 200]] * 7, "float32"),
        "labels": np.zeros(7, "int32"),
    }
    data = DetectionRecords(
        [{**record, "path": path} for path in paths], ("thing",), (1,), {}
    )
    sides = {"short_sides": SIDES, "longest_side": LONGEST}
    times = {"detection_dataset": [], "Pillow, two processes": []}
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for round_number in range(6):  # the first one warms up
            # Anew each time, or it would read ahead while the other works.
            batches = detection_dataset(
                data,
                BATCH,
                training=True,
                first_batch=round_number * BATCHES,
                **sides,
            )
            begin = time.perf_counter()
            for _ in batches.take(BATCHES).as_numpy_iterator():
                pass
            middle = time.perf_counter()
            for _ in pillow_batches(pool, paths, round_number * 1000):
                pass
            end = time.perf_counter()
            if round_number:
                spans = (middle - begin, end - middle)
                for name, span in zip(times, spans, strict=True):
                    times[name].append(BATCH * BATCHES / span)
    print("| | images a second |\n|---|---|")
    for name, rates in times.items():
        print(f"| {name} | {statistics.median(rates):.1f} |")
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    print(f"| ratio | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    main()
