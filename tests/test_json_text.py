import json
import math

from keras_vtr.json_text import json_text


def test_numbers_that_are_not_finite_are_null_wherever_they_stand():
    value = {"a": [1.5, math.nan, (math.inf, "NaN")], "b": {"c": -math.inf}}
    text = json_text(value)
    assert json.loads(text) == {
        "a": [1.5, None, [None, "NaN"]],
        "b": {"c": None},
    }
