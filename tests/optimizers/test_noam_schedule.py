import keras
import pytest

from keras_vtr.optimizers import NoamSchedule


def test_it_rises_in_a_line_and_falls_with_the_square_root():
    schedule = NoamSchedule(hidden_dim=512, warmup_steps=4000)
    for step in (1, 10, 3999, 4000, 4001, 100_000):
        expected = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
        # Keras counts steps from 0, the paper from 1.
        assert float(schedule(step - 1)) == pytest.approx(expected, rel=1e-5)
    assert float(NoamSchedule(512, 4000, scale=2.0)(7)) == pytest.approx(
        2.0 * float(schedule(7))
    )


def test_it_is_saved_with_its_optimizer():
    adam = keras.optimizers.Adam(NoamSchedule(16, 10, 0.5))
    config = keras.optimizers.serialize(adam)
    again = keras.optimizers.deserialize(config)
    assert again._learning_rate.get_config() == {
        "hidden_dim": 16,
        "warmup_steps": 10,
        "scale": 0.5,
    }


@pytest.mark.parametrize("wrong", [(0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.0)])
def test_numbers_must_be_above_zero(wrong):
    with pytest.raises(ValueError, match="must be above 0"):
        NoamSchedule(*wrong)
