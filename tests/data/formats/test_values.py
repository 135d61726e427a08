import math

import pytest

from keras_vtr.data.formats import values


@pytest.mark.parametrize(
    ("reader", "written", "meant"),
    [
        (values.number, 2, 2.0),
        (values.number, "2.50", 2.5),
        (values.number, " -.5e1 ", -5.0),
        (values.whole_number, 7, 7),
        (values.whole_number, 7.0, 7),
        (values.whole_number, "7", 7),
        (values.whole_number, "+7.0", 7),
        (values.whole_number, "9007199254740993", 9007199254740993),
        (values.whole_number, 2**70, 2**70),
        (values.flag, 0, False),
        (values.flag, 1.0, True),
        (values.flag, "0", False),
        (values.flag, " 1", True),
        (values.flag, "False", False),
        (values.flag, True, True),
        (values.flag, None, False),
        (values.name, " cat\n", "cat"),
        (values.pixels, "30.0", 30),
        (values.area, 0, None),
        (values.area, None, None),
        (values.area, "12.5", 12.5),
        (values.four_numbers, [1, "2", 3.5, 4], (1, 2, 3.5, 4)),
    ],
)
def test_what_is_meant_is_read(reader, written, meant):
    found = reader(written)
    assert found == meant and type(found) is type(meant)


@pytest.mark.parametrize(
    ("reader", "wrong", "expected"),
    [
        (
            values.number,
            (
                True,
                None,
                "1_0",
                "\u0661",
                "nan",
                math.inf,
                10**400,
                "0,5",
                "",
                [1],
            ),
            "a finite number",
        ),
        (
            values.whole_number,
            (True, None, 1.5, "1.5", "one", math.nan, "1_0", "0x1", "9" * 9999),
            "a whole number",
        ),
        (
            values.flag,
            (2, -1, 0.5, math.nan, "maybe", "", "yes", [], [0], {}),
            "0 or 1",
        ),
        (values.name, (None, "", " ", 7, b"cat", ["cat"]), "a text that isn't"),
        (
            values.pixels,
            (0, -1, 0.5, "30px", True, None, 2**31),
            "a whole number of pixels",
        ),
        (
            values.area,
            ("NaN", math.nan, -1, math.inf, True, [], 1e39),
            "a number of pixels, 0 or more",
        ),
        (
            values.four_numbers,
            ([1, 2, 3], "1234", None, {1: 2}, [1, 2, 3, None]),
            "number",
        ),
    ],
)
def test_what_is_no_such_value_is_refused(reader, wrong, expected):
    for value in wrong:
        with pytest.raises(ValueError, match=expected):
            reader(value)
