"""Checks of the arguments of `detection_dataset`."""


def check_data(data, training, masks):
    """Requires images, and boxes or masks to learn."""
    if not data.records:
        raise ValueError("`data` must hold at least one image.")
    if training and not data.num_boxes:
        raise ValueError(
            f"`data` must hold at least one box to learn. Received: {data}"
        )
    if masks and not data.has_masks:
        raise ValueError(
            "`data` must have masks: read the annotations with `masks=True`. "
            f"Received: masks=True, {data}"
        )


def check_training_arguments(data, training, sampling, augment):
    """Requires a sampling of these data, and both of these in training."""
    given = {"sampling": sampling, "augment": augment}
    given = [name for name, value in given.items() if value is not None]
    if given and not training:
        raise ValueError(
            f"{' and '.join(given)} must only be given with `training=True`. "
            "Received: training=False"
        )
    if sampling is not None and sampling.num_records != len(data):
        raise ValueError(
            "`sampling` must be made of the same `data`. Received: a sampling "
            f"of {sampling.num_records} images, {data}"
        )


def check_workers(batch_size, num_workers, worker):
    """Requires workers that share each batch equally."""
    if batch_size < 1 or batch_size % num_workers:
        raise ValueError(
            "`batch_size` must be a multiple of `num_workers`. Received: "
            f"batch_size={batch_size}, num_workers={num_workers}"
        )
    if not 0 <= worker < num_workers:
        raise ValueError(
            "`worker` must be 0 to num_workers - 1. Received: "
            f"worker={worker}, num_workers={num_workers}"
        )


def check_canvas(canvas, image_sizes, longest_side, size_multiple):
    """Requires a canvas that every image fits into, or sizes without one."""
    if image_sizes is not None:
        _check_sizes(image_sizes, canvas, size_multiple)
    elif canvas is not None and min(canvas) < longest_side:
        raise ValueError(
            "Both sides of `canvas` must be at least `longest_side`. "
            f"Received: canvas={canvas}, longest_side={longest_side}"
        )


def _check_sizes(image_sizes, canvas, size_multiple):
    fits = isinstance(image_sizes, (tuple, list)) and image_sizes
    if not fits or not all(map(_is_size, image_sizes)):
        raise ValueError(
            "`image_sizes` must be a list of (height, width), whole numbers "
            f"above 0. Received: image_sizes={image_sizes!r}"
        )
    if canvas is not None or size_multiple != 1:
        raise ValueError(
            "`canvas` must be None and `size_multiple` 1 with `image_sizes`, "
            "to which images are stretched without padding. Received: canvas="
            f"{canvas}, size_multiple={size_multiple}"
        )


def _is_size(size):
    is_pair = isinstance(size, (tuple, list)) and len(size) == 2
    return is_pair and all(type(x) is int and x > 0 for x in size)
