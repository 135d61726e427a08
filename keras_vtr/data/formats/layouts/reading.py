"""Reads the splits of a data folder for training and evaluation."""

import dataclasses
import pathlib

from keras_vtr.data.formats.dividing import write_split
from keras_vtr.data.formats.folders import split_name
from keras_vtr.data.formats.layouts.finding import find_splits
from keras_vtr.data.formats.records import AnnotationError
from keras_vtr.data.formats.split_checks import check_classes
from keras_vtr.data.formats.split_checks import rare_classes
from keras_vtr.data.formats.split_checks import shared_pictures

NUM_SHOWN = 10  # remarks


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What a model is trained and evaluated with; its text says all of it.

    Args:
        layout: What was recognized.
        train: `keras_vtr.data.DetectionRecords` or `ClassificationRecords`.
        val: The same kind, with the same classes.
        remarks: Texts on what is read but suspicious.
        made_split: Optional arguments of `write_split`, if there was no split
            for validation.
    """

    layout: str
    train: object
    val: object
    remarks: tuple
    made_split: dict | None = None

    def save_split(self):
        """Writes the split, if one was made, to be followed from then on."""
        if self.made_split is not None:
            write_split(self.val, **self.made_split)

    def __str__(self):
        lines = [
            f"Data: {self.layout}",
            *(f"Note: {x}" for x in self.train.notes),
            f"Train: {self.train}",
            f"Validation: {self.val}",
            *(f"Remark: {x}" for x in self.remarks[:NUM_SHOWN]),
        ]
        more = len(self.remarks) - NUM_SHOWN
        if more > 0:
            lines.append(f"{more} more remarks: see `keras-vtr inspect`.")
        return "\n".join(lines)


def read_training_data(
    folder, split_file, *, seed=0, invalid="raise", masks=False
):
    """Reads the data of a training, and says what is suspicious about them.

    Args:
        folder: A data folder in one of the layouts of docs/data.md, or a
            data.yaml.
        split_file: Where there is no split for validation, one is made, which
            `TrainingData.save_split` writes to this path; if the file is there,
            it is followed. None: the seed alone counts.
        seed: Of that split.
        invalid: As for `keras_vtr.data.read_coco`.
        masks: Whether to read masks, too.

    Returns:
        A `TrainingData`; print it.

    Raises:
        AnnotationError: If something can't be read, a split has nothing to
            learn, or the classes of the splits differ.

    Example:

    >>> data = keras_vtr.data.read_training_data("pets", "run/split.json")
    ... # doctest: +SKIP
    >>> print(data)
    ... # doctest: +SKIP
    """
    folder = find_splits(folder)
    found, made_split = folder.divided(split_file, seed), None
    if folder.undivided is not None and split_file is not None:
        made_split = {"path": split_file, "seed": seed}
    train, val = (
        _read(found, x, invalid=invalid, masks=masks) for x in ("train", "val")
    )
    check_classes({"train": train, "val": val})
    remarks = (
        *(f"train: {x}" for x in rare_classes(train)),
        *(f"val: {x}" for x in rare_classes(val, least=1)),
        *shared_pictures({"train": train, "val": val}),
        *train.remarks,
        *val.remarks,
    )
    return TrainingData(str(found), train, val, remarks, made_split)


def read_split(folder, name, invalid="raise", masks=False, split_file=None):
    """Reads a split of a data folder.

    Args:
        folder: A data folder, or its data.yaml.
        name: "train", "val" or another; synonyms such as "valid", "Validation"
            or "Train" are found, too.
        invalid: As for `keras_vtr.data.read_coco`.
        masks: Whether to read masks, too.
        split_file: The file that `TrainingData.save_split` has written where
            there is no split for validation. It may not be there.

    Returns:
        A `keras_vtr.data.DetectionRecords` with at least one box, or a
        `ClassificationRecords`.

    Raises:
        AnnotationError: If there is no such split, or nothing in it.
    """
    found = find_splits(folder)
    if split_file is not None and pathlib.Path(split_file).is_file():
        found = found.divided(split_file)
    return _read(found, name, invalid=invalid, masks=masks)


def _read(found, name, **options):
    named = [x for x in found.splits if x == name]
    named = named or [
        x for x in found.splits if split_name(x) == split_name(name)
    ]
    if len(named) != 1:
        raise AnnotationError(
            f"{found.path} must hold the split {name!r} once. Received: "
            f"{sorted(found.splits)}"
        )
    data = found.splits[named[0]](**options)
    if not len(data):
        raise AnnotationError(
            f"The split {name!r} has no picture: {found}. If the file is of "
            "other data, remove it or give another --output."
        )
    if not getattr(data, "num_boxes", True):
        raise AnnotationError(
            f"The split {name!r} of {found.path} has no box to learn or to "
            f"evaluate. Received: {data}"
        )
    return data
