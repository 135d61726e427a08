"""Records of images with their true boxes."""

from keras_vtr.class_names import check_class_names


class AnnotationError(ValueError):
    """An error in annotations, with file and location."""


class DetectionRecords:
    """Checked records of a data set.

    Args:
        records: A list of dicts: `"path"`, `"shape"` (height, width), `"boxes"`
            (n, 4) float32 absolute `xyxy` pixels, `"labels"` (n,) int32,
            `"areas"` (n,) float32 pixels, for COCO's AP of small and large
            objects, and `"crowd_boxes"` (m, 4) and `"crowd_labels"` (m,):
            crowds are not learned, and detecting them is not an error. If they
            were read, `"masks"` and `"crowd_masks"` in compressed form, with
            the methods of `keras_vtr.data.formats.masks.RunLengthMasks`.
        class_names: K names.
        category_ids: The file's id of each class.
        dropped: Numbers of images and boxes that were left out, by reason.
        clipped: Number of boxes that were clipped to their images.

    `remarks` are texts on what is read but suspicious, `notes` on what is no
    fault. Of panoptic annotations, `things` are the classes of which each
    object is a segment of its own; else it is None, for all.
    """

    things = None
    remarks = ()
    notes = ()

    def __init__(self, records, class_names, category_ids, dropped, clipped=0):
        self.records = records
        self.class_names = check_class_names(class_names)
        self.category_ids = category_ids
        self.dropped = dropped
        self.clipped = clipped

    @property
    def num_boxes(self):
        """The number of boxes without crowds."""
        return sum(len(x["labels"]) for x in self.records)

    @property
    def has_masks(self):
        """Whether the masks of all objects were read."""
        return all("masks" in x for x in self.records)

    def __len__(self):
        return len(self.records)

    def __str__(self):
        num_crowds = sum(len(x["crowd_labels"]) for x in self.records)
        left_out = list_reasons(self.dropped)
        clipped = f", clipped: {self.clipped}" if self.clipped else ""
        return (
            f"{len(self)} images, {self.num_boxes} boxes, {num_crowds} crowds, "
            f"{len(self.class_names)} classes; left out: {left_out or 'none'}"
            f"{clipped}"
        )


def list_reasons(dropped):
    """What was left out, in words."""
    return ", ".join(f"{number} {why}" for why, number in dropped.items())
