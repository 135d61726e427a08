"""Detects objects in millions of images: Ray Data and an exported SavedModel.

    keras-vtr export runs/digits savedmodels/digits
    python examples/distributed/predict_ray.py savedmodels/digits/1 \
        scenes/train --output found

writes found/part-000000.parquet and so on: path, ok (False: no picture), and
labels, scores and boxes (xyxy pixels) of what scores enough. Each part holds
--part-size images and appears whole. If a worker dies, its part is begun again;
run again, it writes the parts that are missing. Read all of them with
`pandas.read_parquet("found")`. 2,000 images of 64 x 64 took 14 seconds.
"""

import argparse
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pyarrow as pa
import pyarrow.parquet
import ray
import tensorflow as tf

TYPES = {
    "path": pa.string(),
    "ok": pa.bool_(),
    "labels": pa.list_(pa.int64()),
    "scores": pa.list_(pa.float32()),
    "boxes": pa.list_(pa.list_(pa.float32(), 4)),
}


class Predictor:
    """One worker: loads the model once, then writes part after part."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.model = tf.saved_model.load(str(arguments.model))
        self.serve = self.model.signatures["serving_default"]

    def __call__(self, row):
        size = self.arguments.batch_size
        found = []
        for i in range(0, len(row["paths"]), size):
            found += self.predict(row["paths"][i : i + size])
        path = self.arguments.output / row["name"]
        hidden = path.with_name(f".{path.name}-{os.getpid()}")
        table = pa.Table.from_pylist(found, pa.schema(TYPES))
        pa.parquet.write_table(table, hidden)
        hidden.rename(path)
        return {"images": len(found), "broken": sum(not x["ok"] for x in found)}

    def predict(self, paths):
        places = [self.arguments.images / path for path in paths]
        # Of a folder or what is gone, no bytes: the model answers ok = 0.
        images = [x.read_bytes() if x.is_file() else b"" for x in places]
        answers = self.serve(image_bytes=tf.constant(images))
        answers = {name: value.numpy() for name, value in answers.items()}
        rows = []
        for i, path in enumerate(paths):
            chosen = answers["scores"][i] >= self.arguments.score_threshold
            row = {"path": path, "ok": bool(answers["ok"][i])}
            for name in [*TYPES][2:]:
                row[name] = answers[name][i][chosen & row["ok"]].tolist()
            rows.append(row)
        return rows


def job(arguments):
    """All parts as rows; refuses to mix two jobs in one folder."""
    paths = sorted(
        str(path.relative_to(arguments.images))
        for path in arguments.images.rglob("*")
        if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    )
    options = {**vars(arguments), "workers": None}  # they may change
    content = json.dumps([options, paths], default=str, indent=0)
    arguments.output.mkdir(parents=True, exist_ok=True)
    known = arguments.output / "_job.json"  # a name that readers pass over
    if known.exists() and known.read_text() != content:
        sys.exit(f"{known} is of other images or options. Choose another.")
    known.write_text(content)
    size = arguments.part_size
    return [
        {"name": f"part-{i // size:06d}.parquet", "paths": paths[i : i + size]}
        for i in range(0, len(paths), size)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("model", type=pathlib.Path, help="a version's folder")
    add("images", type=pathlib.Path, help="seen by all machines")
    add("--output", type=pathlib.Path, required=True, help="seen by all")
    add("--workers", type=int, default=2)
    add("--batch-size", type=int, default=32)
    add("--part-size", type=int, default=1000)
    add("--score-threshold", type=float, default=0.5)
    arguments = parser.parse_args()
    for name in ("model", "images", "output"):
        setattr(arguments, name, getattr(arguments, name).resolve())
    parts = job(arguments)
    missing = [x for x in parts if not (arguments.output / x["name"]).exists()]
    print(f"{len(missing)} of {len(parts)} parts are to be written.")
    if missing:
        rows = ray.data.from_items(missing, override_num_blocks=len(missing))
        workers = ray.data.ActorPoolStrategy(size=arguments.workers)
        options = {"fn_constructor_args": (arguments,), "compute": workers}
        done = rows.map(Predictor, **options).take_all()
        print({key: sum(x[key] for x in done) for key in done[0]})


if __name__ == "__main__":
    main()
