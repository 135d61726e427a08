"""The sizes of `build_rf_detr`."""

# Robinson et al. 2025, in the authors' configurations (rfdetr 1.7). All have a
# DINOv2 ViT-S. Features are those after blocks 3, 6, 9 and 12, counted
# from 1, but of "base", the first release, after 2, 5, 8 and 11; the blocks
# behind them see all windows.
TAPS = {"feature_blocks": (2, 5, 8, 11), "global_blocks": (3, 6, 9)}
FIRST_TAPS = {"feature_blocks": (1, 4, 7, 10), "global_blocks": (2, 5, 8)}
COLUMNS = (
    "image_side",
    "patch_size",
    "num_windows",
    "num_decoder_layers",
    "num_queries",
    "masks",
)
ROWS = {
    "nano": (384, 16, 2, 2, 300, False),
    "small": (512, 16, 2, 3, 300, False),
    "medium": (576, 16, 2, 4, 300, False),
    "large": (704, 16, 2, 4, 300, False),
    "base": (560, 14, 4, 3, 300, False),
    "seg_nano": (312, 12, 1, 4, 100, True),
    "seg_small": (384, 12, 2, 4, 100, True),
    "seg_medium": (432, 12, 2, 5, 200, True),
    "seg_large": (504, 12, 2, 5, 200, True),
    "seg_xlarge": (624, 12, 2, 6, 300, True),
    "seg_2xlarge": (768, 12, 2, 6, 300, True),
}
SIZES = {
    size: {
        **dict(zip(COLUMNS, row, strict=True)),
        **(FIRST_TAPS if size == "base" else TAPS),
    }
    for size, row in ROWS.items()
}


def options_of(size, given):
    """What is given, and else what the size has."""
    if size not in SIZES:
        raise ValueError(
            f"`size` must be one of {list(SIZES)}. Received: size={size!r}"
        )
    given = {key: value for key, value in given.items() if value is not None}
    options = {**SIZES[size], **given}
    if options["num_windows"] == 1:  # all blocks see everything
        options["num_windows"] = options["global_blocks"] = None
    return options
