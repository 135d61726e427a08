"""What a configuration file says, read key by key.

Arrays don't tell all that their model computes; config.json does. A loader
reads the keys that it knows by their type, says of others which value it
computes, names those that change nothing, and what is left is refused.
"""

import math

from keras_vtr.pretrained.tensor_file import PretrainedError

REQUIRED = object()


class Configuration:
    """A JSON file's dict, or one within it, of which every key counts.

    null says nothing, and nor does an empty text, list or dict under a key
    that nobody knows.

    Args:
        content: The dict; empty if there is no file.
        place: The file.
        prefix: Of the keys, for a dict within a dict: "backbone_config.".
        preprocessor: What preprocessor_config.json says beside it.
        training: What the program that trained noted beside the weights, of
            which most changes nothing.
    """

    def __init__(
        self, content, place, prefix="", preprocessor=None, training=None
    ):
        self.place = place
        self.preprocessor = preprocessor
        self.training = training
        self._content = content
        self._prefix = prefix
        self._parts = {}
        self._left = {
            key for key, x in content.items() if x not in (None, "", [], {})
        }

    def __contains__(self, key):
        return self._content.get(key) is not None

    def __bool__(self):
        return bool(self._content)

    def get(self, key, default=None):
        """The value as it stands."""
        self._left.discard(key)
        value = self._content.get(key)
        if value is None and default is REQUIRED:
            verb = "lacks" if self._content else "is missing, or lacks"
            raise PretrainedError(
                f"{self.place} {verb} `{self._prefix}{key}`, which no array "
                "tells."
            )
        return default if value is None else value

    def flag(self, key, default=None):
        return self._typed(key, default, _is_flag, "true or false")

    def integer(self, key, default=None, least=1):
        expected = f"a whole number, {least} or more"
        fits = _is_integer_from(least)
        value = self._typed(key, default, fits, expected)
        return int(value) if fits(value) else value

    def number(self, key, default=None, above=-math.inf):
        fits = _is_number_above(above)
        return self._typed(key, default, fits, f"a number{_bound(above)}")

    def numbers(self, key, default=None, above=-math.inf):
        """A number, or a tuple of them."""
        fits = _is_number_above(above)
        value = self._typed(
            key,
            default,
            lambda x: x and all(map(fits, x)) if _is_list(x) else fits(x),
            f"a number{_bound(above)}, or a list of them",
        )
        return tuple(value) if _is_list(value) else value

    def choice(self, key, choices, default=None):
        """One of `choices`; of a dict, what it stands for there."""
        value = self._typed(
            key,
            default,
            lambda value: any(_equal(value, x) for x in choices),
            f"one of {sorted(choices)}",
        )
        is_known = isinstance(choices, dict) and isinstance(value, str)
        return choices.get(value, value) if is_known else value

    def sides(self, key):
        """(height, width) in pixels, or None.

        From one number, [height, width], [channels, height, width] or
        {"height": ..., "width": ...}.
        """
        value = self._typed(
            key, None, _are_sides, "one whole number or [height, width]"
        )
        if isinstance(value, dict):
            value = [value["height"], value["width"]]
        elif _is_number(value):
            value = [value, value]
        return value and tuple(int(side) for side in value[-2:])

    def part(self, key):
        """The dict under a key; an empty one if there is none."""
        content = self._typed(key, {}, lambda x: isinstance(x, dict), "a dict")
        if key not in self._parts:
            prefix = f"{self._prefix}{key}."
            self._parts[key] = Configuration(content, self.place, prefix)
        return self._parts[key]

    def expect(self, expected, default=None):
        """Refuses other values than those that we compute.

        Args:
            expected: Key to a tuple of values.
            default: None if a key that isn't there means one of them;
                `REQUIRED` if it means something else.
        """
        for key, values in expected.items():
            value = self.get(key, default)
            if key in self and not any(_equal(value, x) for x in values):
                words = " or ".join(repr(x) for x in values)
                raise self.error(key, f"{words}, which is what is computed")

    def ignore(self, keys):
        """Names keys that don't change what the model computes."""
        self._left -= set(keys)

    def disregard(self):
        """Says that the file belongs to something else."""
        self._left.clear()
        if self.preprocessor is not None:
            self.preprocessor.disregard()

    def error(self, key, expected, remedy=""):
        """The error for a value that is not as expected."""
        value = _short(self._content.get(key))
        return PretrainedError(
            f"{self.place}: `{self._prefix}{key}` must be {expected}. "
            f"Received: {key}={value}{remedy and '. '}{remedy}"
        )

    def finish(self):
        """Refuses keys that nobody read, here and in all parts."""
        if self._left:
            says = ", ".join(
                f"`{self._prefix}{key}`={_short(self._content[key])}"
                for key in sorted(self._left)
            )
            raise PretrainedError(
                f"{self.place} says what is not known here and may change "
                f"what the model computes: {says}. What doesn't change it "
                "can be removed from the file."
            )
        for part in self._parts.values():
            part.finish()
        if self.preprocessor is not None:
            self.preprocessor.finish()

    def _typed(self, key, default, fits, expected):
        value = self.get(key, default)
        if key in self and not fits(value):
            raise self.error(key, expected)
        return value


def _is_flag(value):
    return isinstance(value, bool)


def _is_number(value):
    is_number = isinstance(value, (int, float)) and not _is_flag(value)
    return is_number and math.isfinite(value)


def _is_list(value):
    return isinstance(value, list)


def _is_number_above(bound):
    return lambda x: _is_number(x) and x > bound


def _is_integer_from(least):
    return lambda x: _is_number(x) and x == int(x) and x >= least


def _are_sides(value):
    if isinstance(value, dict):
        value = [value.get("height"), value.get("width")]
    if not _is_list(value):
        value = [value, value]
    return len(value) in (2, 3) and all(_is_integer_from(1)(x) for x in value)


def _equal(value, expected):
    """As JSON has it: 1.0 is 1, but true is not."""
    return value == expected and _is_flag(value) == _is_flag(expected)


def _bound(above):
    return "" if above == -math.inf else f" above {above}"


def _short(value):
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
