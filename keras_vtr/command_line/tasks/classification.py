"""Classification: a class of a whole picture, by a ViT."""

import pathlib

import keras
import numpy as np

from keras_vtr.callbacks import ClassPictures
from keras_vtr.command_line.tasks.pretrained import name_map_for
from keras_vtr.command_line.tasks.sizes import READABLE_SIDE
from keras_vtr.data import center_crop
from keras_vtr.data import classification_dataset
from keras_vtr.data.pictures.preparation import classifier_input
from keras_vtr.evaluation import evaluate_classifier
from keras_vtr.models import build_vit
from keras_vtr.pretrained import from_pretrained
from keras_vtr.serving import export_classifier
from keras_vtr.training import compile_vit
from keras_vtr.visualization import draw_boxes

# Of `--model small`.
SMALL = {"size": "tiny", "num_layers": 6, "patch_size": 8}
SMALL_SIDE = 96
STOCHASTIC_DEPTH = 0.1  # of BEiT's fine-tuning
MAX_LABELS = 5


class Classification:
    """Trains and uses a classifier.

    Args:
        config: The options of the training.
        folder: Of the run, where it is read.
    """

    name = "classification"
    # The options that it takes and another task does not.
    training = ()
    use = ("max_labels",)
    monitor = "val_accuracy"
    answers = "classes.json"
    masks = False

    def __init__(self, config, folder=None):
        self.config = config
        self.folder = folder

    @staticmethod
    def defaults(options):
        """Values of the options that were left out."""
        return {}

    def build(self, class_names):
        """The ViT, pretrained or with random weights."""
        model, sides = self.config["model"], self.config["image_sides"]
        if sides is not None and (len(sides) != 1 or sides[0] < 1):
            raise ValueError(
                "--image-sides must be one number of pixels, 1 or more, for a "
                f"classifier. Received: {sides}"
            )
        names = {"num_classes": len(class_names), "class_names": class_names}
        if sides is not None:
            names["image_shape"] = (*sides * 2, 3)
        if model != "small":
            name_map_for(self.name, model)
            return from_pretrained(
                model, stochastic_depth=STOCHASTIC_DEPTH, **names
            )
        shape = (SMALL_SIDE, SMALL_SIDE, 3)
        return build_vit(**{**SMALL, "image_shape": shape, **names})

    def batches(self, train, val, first_batch, vit, sampling):
        """Of training, from where the run is, and of validation."""
        config, size = self.config, self.config["batch_size"]
        same = {
            "image_size": vit.input_shape[1:3],
            "broken": "skip" if config["skip_broken"] else "raise",
        }
        batches = classification_dataset(
            train,
            size,
            training=True,
            seed=config["seed"],
            first_batch=first_batch,
            sampling=sampling,
            flips=not config["no_flips"],
            **same,
        )
        return batches, classification_dataset(
            val, size, training=False, **same
        )

    def compile(self, vit, steps):
        """The compiled model to train."""
        recipe = {
            name: self.config[name]
            for name in ("learning_rate", "gradient_accumulation_steps")
            if self.config[name] is not None
        }
        if self.config["model"] == "small":  # all blocks have all to learn
            recipe["layer_decay"] = 1.0
        return compile_vit(vit, steps, epochs=self.config["epochs"], **recipe)

    def evaluation(self, seen, vit, folder):
        """Arguments of `fit`, and callbacks that follow each epoch."""
        pictures = ClassPictures(
            seen,
            folder,
            class_names=vit.class_names,
            scale=_enlargement(vit),
        )
        return {"validation_data": seen}, [pictures]

    def evaluate(self, vit, data):
        """The report of an evaluation."""
        batches = classification_dataset(
            data,
            self.config["batch_size"],
            training=False,
            image_size=vit.input_shape[1:3],
        )
        names = ["/".join(pathlib.Path(x).parts[-2:]) for x in data.paths]
        return evaluate_classifier(vit, batches, image_names=names)

    def limits(self, options):
        """Of the files that are read, as arguments of `read_picture`."""
        return {}

    def predictor(self, vit, options, printer):
        """From a picture to its JSON rows and itself with its class."""
        number = options["max_labels"] or MAX_LABELS
        resizing = center_crop(vit.input_shape[1:3])
        preparation, _ = classifier_input(vit, resizing)

        def predict(image):
            images, _, _ = preparation.read_images(image[None])
            logits = vit(images, training=False)
            (scores,) = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
            best = np.argsort(-scores, kind="stable")[:number]
            rows = [
                {"name": vit.class_names[i], "score": float(scores[i])}
                for i in best
            ]
            picture = draw_boxes(
                image,
                [[0, 0, image.shape[1], image.shape[0]]],
                best[:1].astype("int32"),
                scores[best[:1]],
                class_names=vit.class_names,
                score_threshold=0.0,
                scale=max(1, READABLE_SIDE // max(image.shape)),
            )
            return rows, picture

        return predict

    def export(self, vit, folder, options, printer):
        """Publishes the next version."""
        resizing = center_crop(vit.input_shape[1:3])
        return export_classifier(
            vit,
            folder,
            format=options["format"],
            resizing=resizing,
            max_labels=options["max_labels"],
        )


def _enlargement(vit):
    return max(1, READABLE_SIDE // max(vit.input_shape[1:3]))
