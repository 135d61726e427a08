"""Valid JSON, which has no NaN and no infinity."""

import json
import math


def json_text(value, indent=1, **options):
    """The value as JSON, null in the place of numbers that are not finite.

    Python's `json` writes them as `NaN` and `Infinity`, which are not JSON and
    which other readers refuse.

    Args:
        value: Dicts, lists, texts and numbers.
        indent: Spaces a level.
        **options: Further arguments of `json.dumps`.

    Returns:
        A text.
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False, **options)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(x) for x in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
