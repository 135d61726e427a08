"""Valid JSON, which has no NaN and no infinity."""

import json
import math


def json_text(value, indent=1, **options):
    """`json.dumps` with null for numbers that are not finite.

    Python's `json` writes `NaN` and `Infinity`, which other readers refuse.

    Args:
        value: Dicts, lists, texts and numbers.
        indent: Spaces per level.
        **options: Further arguments of `json.dumps`.
    """
    return json.dumps(
        _replace_non_finite(value), indent=indent, allow_nan=False, **options
    )


def _replace_non_finite(value):
    if isinstance(value, dict):
        return {key: _replace_non_finite(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replace_non_finite(x) for x in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
