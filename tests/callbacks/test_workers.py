"""Several processes train one model, and worker 0 writes checkpoints."""

from keras_vtr.callbacks import Checkpoint
from tests.callbacks.run import train


def test_only_the_first_worker_writes_and_locks(tmp_path):
    first = Checkpoint(tmp_path / "first", num_workers=2, worker=0)
    other = Checkpoint(tmp_path / "first", num_workers=2, worker=1)
    assert first.num_steps == other.num_steps == 0
    first._lock.release(force=True)
    train(tmp_path / "other", num_workers=2, worker=1)
    assert not (tmp_path / "other").exists()


def test_other_workers_resume_from_the_checkpoints_of_worker_0(tmp_path):
    train(tmp_path, epochs=2, num_workers=2)
    other = Checkpoint(tmp_path, num_workers=2, worker=1)
    assert other.num_steps == 20 and other.epoch == 2
    model, _ = train(tmp_path, epochs=2, num_workers=2, worker=1)
    assert int(model.optimizer.iterations) == 20


def test_within_an_epoch_the_means_start_from_zero(tmp_path):
    whole, means = train(tmp_path / "whole", epochs=1)
    killed = tmp_path / "killed"
    train(killed, epochs=1, every_steps=4, num_workers=2, keep=9)
    for path in killed.glob("step-*-end"):
        path.rename(killed / "gone")
    model, after = train(killed, epochs=1, num_workers=2)
    assert after["loss"] != means["loss"]
    for a, b in zip(whole.get_weights(), model.get_weights(), strict=True):
        assert (a == b).all()
