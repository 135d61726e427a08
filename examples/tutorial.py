# %% [markdown]
# # From a folder of pictures to a served answer
#
# Fifteen minutes to read; the machine takes 6 minutes on two busy cores. Run
# `tutorial.ipynb` in Jupyter, or `python examples/tutorial.py` from the
# repository's root after `pip install -e ".[examples]"`. The pictures go to
# `keras_vtr_tutorial/`. You know convolutions; nothing here needs more.

# %%
import os
import pathlib
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import write_scenes  # beside this file
from PIL import Image

import keras_vtr

STEPS = int(os.environ.get("STEPS", 1000))  # of training
SIDE = 64  # of the model's input, in pixels
work = pathlib.Path("keras_vtr_tutorial")
shutil.rmtree(work, ignore_errors=True)
keras.utils.set_random_seed(0)


def show(picture, name):
    """Keeps a picture; as a cell's last line, it is shown."""
    picture.save(work / f"{name}.png")
    return picture


# %% [markdown]
# ## 1. A folder
#
# Labeling tools export folders. This one is made of real handwritten digits, in
# Roboflow's layout: pictures and `_annotations.coco.json` side by side.

# %%
folder = work / "digits"
write_scenes.write_scenes(folder, num_scenes=1000)
for split, name in (("train", "train"), ("val", "valid")):
    (folder / split).rename(folder / name)
    annotations = folder / f"{split}.json"
    annotations.rename(folder / name / "_annotations.coco.json")

# %% [markdown]
# ## 2. Look at the data before you train
#
# The layout is recognized, and what looks suspicious is said. Wrong boxes are
# seen best: boxes must be tight, and each class must mean what you think.

# %%
data = keras_vtr.data.read_training_data(folder, work / "split.json")
print(data)


# %%
def annotated(record):
    image = Image.open(record["path"])
    boxes, labels, names = (
        record["boxes"],
        record["labels"],
        data.train.class_names,
    )
    return keras_vtr.visualization.draw_boxes(
        image, boxes, labels, class_names=names, scale=3
    )


pictures = [annotated(record) for record in data.train.records[:8]]
show(keras_vtr.visualization.draw_grid(pictures), "1_annotated")

# %% [markdown]
# ## 3. What the model is given
#
# A batch: pixels in [0, 255], boxes as center, width and height relative to
# the image, classes padded with -1, since images have different numbers of
# objects. In training each epoch sees other crops. No flips: a mirrored digit
# is another one.

# %%
batches = keras_vtr.data.detection_dataset(
    data.train, 16, training=True, image_sizes=[(SIDE, SIDE)], flips=False
)
val = keras_vtr.data.detection_dataset(
    data.val, 50, training=False, image_sizes=[(SIDE, SIDE)]
)
images, y_true = next(batches.as_numpy_iterator())
print(images.shape, {name: x.shape for name, x in y_true.items()})
print("the first object: box", y_true["boxes"][0, 0], y_true["labels"][0, 0])

# %% [markdown]
# ## 4. The model
#
# A convolution stem makes a feature map, its pixels become tokens, an encoder
# relates them, and 10 queries each answer with a class and a box. With
# pretrained weights this line is `keras_vtr.pretrained.from_pretrained(...)`.

# %%
detr = keras_vtr.models.build_detr(
    len(data.train.class_names),
    size="modern_small",
    image_shape=(SIDE, SIDE, 3),
    num_queries=10,
    class_names=data.train.class_names,
)
print({name: tuple(x.shape) for name, x in detr.output.items()})

# %% [markdown]
# ## 5. Train
#
# `compile_detr` is the recipe; the loss matches queries and objects, one to
# one. Watch `val_AP`: it stays near 0 for a while, then rises fast. The loss
# alone says little.

# %%
precision = keras_vtr.metrics.CocoAveragePrecision(data=val)
keras_vtr.training.compile_detr(
    detr,
    STEPS // 5,
    epochs=5,
    learning_rate=1e-3,
    backbone_learning_rate=1e-3,  # nothing is pretrained
)
history = detr.fit(
    batches,
    steps_per_epoch=STEPS // 5,
    epochs=5,
    shuffle=False,
    callbacks=[precision],
    verbose=2,
)

# %% [markdown]
# ## 6. Judge
#
# AP is one number. The report says which kind of error costs how much of it,
# from which score on each class can be trusted, and shows the worst pictures:
# open `keras_vtr_tutorial/report/report.html`.

# %%
report = keras_vtr.evaluation.evaluate_detector(detr, val)
report.write(work / "report")
print("AP", round(report.precision["AP"], 3))
for name, cost in report.error_costs.items():
    print(f"errors of the kind {name} cost {cost:.3f} of AP50")
for name, threshold in report.thresholds_by_name.items():
    print(f"class {name}: trust it from {threshold:.2f} on")

# %% [markdown]
# ## 7. Why is something not found?
#
# Take the picture in which most is missed, and ask in this order:
#
# 1. Are the annotations right? What is true stands left, what is found right.
# 2. Is it found with a low score? Then more training, or a lower threshold.
# 3. Where do the queries look? If none looks at the object, then it is too
#    small, too dark, or like nothing in the training data.

# %%
records = data.val.records
paths = [record["path"] for record in records]
found = keras_vtr.detect(detr, paths, score_threshold=report.thresholds_by_name)
pairs = zip(records, found, strict=True)
missed = [len(one["labels"]) - len(other["labels"]) for one, other in pairs]
worst = int(np.argmax(missed))
name = pathlib.Path(paths[worst]).name
print(f"{name}: {missed[worst]} fewer found than annotated")
draw = keras_vtr.visualization.draw_detections
pair = [annotated(records[worst]), draw(paths[worst], found[worst], scale=3)]
show(keras_vtr.visualization.draw_grid(pair), "2_worst")

# %%
(all_found,) = keras_vtr.detect(detr, [paths[worst]], score_threshold=0.05)
show(draw(paths[worst], all_found, scale=4), "3_low_scores")

# %%
image = Image.open(paths[worst]).convert("RGB").resize((SIDE, SIDE))
attention = keras_vtr.visualization.draw_query_attention(
    detr, image, score_threshold=0.05, scale=3
)
show(attention, "4_where_queries_look")

# %% [markdown]
# Read the last two pictures together. A right box with a score below its
# threshold: train longer, or with more pictures. A right box of a wrong class:
# more pictures of both classes. No query looks there: larger images, tiles for
# small objects, pictures of that kind. Before all of it, correct the
# annotations; and pretrained weights help more than any of it. More queries
# help only where all of them have found something.
#
# ## 8. Serve and ask
#
# A version of a SavedModel, with the classes and their thresholds within. It
# takes the bytes of a JPEG or PNG; TF Serving, or here TensorFlow alone, needs
# nothing of this package.

# %%
path = keras_vtr.serving.export_detector(
    detr,
    work / "savedmodels" / "digits",
    score_threshold=report.thresholds_by_name,
)
served = tf.saved_model.load(path).signatures["serving_default"]
image_bytes = tf.constant([pathlib.Path(paths[0]).read_bytes()])
answer = {
    name: x.numpy()[0] for name, x in served(image_bytes=image_bytes).items()
}
for i in np.flatnonzero(answer["labels"] >= 0):
    name, score = answer["label_names"][i].decode(), answer["scores"][i]
    print(f"{name}  {score:.2f}  {answer['boxes'][i].round().astype(int)}")

# %% [markdown]
# ## From here
#
# The same from a terminal, with checkpoints that survive interruptions:
# `keras-vtr inspect`, `train`, `evaluate`, `predict`, `serve`, `export`. What
# happens within the model is in `docs/guide.md`; your own folder, rare classes,
# few pictures in `docs/data.md` and `docs/training.md`.
