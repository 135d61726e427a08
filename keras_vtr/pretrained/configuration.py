"""A configuration file, read key by key.

Tensors don't show everything that their model computes; config.json does. A
family reads the keys that it needs, names the values that it expects of others
and the keys that change nothing; any other key is refused.
"""

import math

from keras_vtr.pretrained.tensor_file import PretrainedError

REQUIRED = object()  # as a default: the key must be there


class Configuration:
    """The dict of a JSON file, or a dict within it; every key must be used.

    `keras_vtr.pretrained.register` lists the methods for a family's `read`.
    A method that reads a key returns None, or its default, if the key is not
    there or null, and raises a `PretrainedError` if the value has another
    type. An unused key with an empty text, list or dict is no error.

    Args:
        content: The dict; empty if there is no file.
        place: Path of the file.
        prefix: Of the keys, for a dict within a dict: "backbone_config.".
        preprocessor: The `Configuration` of preprocessor_config.json.
        training: The `Configuration` of what the training program saved beside
            the weights; its unused keys are no error.
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
        """The value, of any type."""
        self._left.discard(key)
        value = self._content.get(key)
        if value is None and default is REQUIRED:
            verb = "lacks" if self._content else "is missing, or lacks"
            raise PretrainedError(
                f"{self.place} {verb} `{self._prefix}{key}`, which no tensor "
                "shows."
            )
        return default if value is None else value

    def peek(self, key):
        """The value, or None; the key stays unused."""
        return self._content.get(key)

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
        """One of `choices`; if they are a dict, its value for this key."""
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
        """Refuses other values than those that the model computes.

        Args:
            expected: Dict of key to a tuple of values.
            default: None if a missing key means one of them; `REQUIRED` if it
                means something else.
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
        """Ignores all keys, here and in the preprocessor."""
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
        """Refuses unused keys, here, in all parts and the preprocessor."""
        if self._left:
            unused = ", ".join(
                f"`{self._prefix}{key}`={_short(self._content[key])}"
                for key in sorted(self._left)
            )
            raise PretrainedError(
                f"{self.place} has keys that are not known here and may change "
                f"what the model computes: {unused}. Keys that don't change it "
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
    """As in JSON: 1.0 is 1, but true is not."""
    return value == expected and _is_flag(value) == _is_flag(expected)


def _bound(above):
    return "" if above == -math.inf else f" above {above}"


def _short(value):
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
