import pathlib
import sys
import warnings

import keras

from keras_vtr.callbacks.checkpoint_files import STEP_GROUPS
from keras_vtr.callbacks.checkpoint_files import CheckpointError
from keras_vtr.callbacks.checkpoint_files import load_state
from keras_vtr.callbacks.checkpoint_files import lock_folder
from keras_vtr.callbacks.checkpoint_files import remove_old
from keras_vtr.callbacks.checkpoint_files import whole_checkpoints
from keras_vtr.callbacks.checkpoint_files import write_checkpoint
from keras_vtr.callbacks.monitor import Monitor
from keras_vtr.callbacks.steps import EpochSteps
from keras_vtr.callbacks.termination import Termination


class Checkpoint(keras.callbacks.Callback):
    """Saves a run so that it goes on, after a kill, as if nothing had been.

    A checkpoint holds all that a step of training reads: weights, optimizer,
    averages (`use_ema`), the state of dropout's seeds, metrics, and the place
    in the data. It appears whole or not at all, with SHA-256 sums; the newest
    whole one is gone on from. With data in an order of their own
    (`keras_vtr.data.detection_dataset(first_batch=checkpoint.num_steps)`) the
    final weights are, bit by bit, those of a run that was never killed, if the
    device sums in one order (`keras_vtr.training.enable_determinism()`).

    SIGTERM, which schedulers send before they kill, saves after the step in
    progress (in validation: at its end) and exits with 0. A disk that is full
    is warned of, and training goes on; it is an error if the last state could
    not be saved. A lock keeps a second process out of the folder.

    `keras.callbacks.BackupAndRestore` (3.15.1) overwrites its one file in
    place, doesn't save seeds, and repeats an epoch that it was killed in;
    `OrbaxCheckpoint` is the choice for models that are spread over devices.

    Args:
        folder: The run's folder; made if it isn't there.
        every_steps: Saves after so many steps, too, not only after each epoch;
            with `steps_per_execution` at the first end of an execution after.
        keep: How many checkpoints stay, besides the best.
        monitor: A name in the logs, such as "val_AP", that tells the best. The
            callback that adds it must come before this one. A name that begins
            with "val_" is waited for until the first validation.
        mode: "max" or "min", which `monitor` is better.
        num_workers: How many processes train this model together. All go on
            from what worker 0 wrote, in a folder that all of them see.
        worker: Which of them this is.

    Raises:
        ValueError: If an argument is out of its range, `steps_per_execution`
            is above 1 and the steps of an epoch are unknown; or, after the
            first epoch (with validation, for "val_"), `monitor` has never been
            in the logs.
        CheckpointError: If another process has the folder, no checkpoint is
            whole, or they are of another model or within an execution.

    Example:

    >>> checkpoint = keras_vtr.callbacks.Checkpoint("runs/mine")
    ... # doctest: +SKIP
    >>> batches = keras_vtr.data.detection_dataset(
    ...     data, 16, training=True, first_batch=checkpoint.num_steps
    ... )  # doctest: +SKIP
    >>> detr.fit(
    ...     batches, steps_per_epoch=100, epochs=50, callbacks=[checkpoint]
    ... )  # doctest: +SKIP
    """

    def __init__(
        self,
        folder,
        *,
        every_steps=None,
        keep=3,
        monitor=None,
        mode="max",
        num_workers=1,
        worker=0,
    ):
        super().__init__()
        if keep < 1 or mode not in ("max", "min"):
            raise ValueError(
                "`keep` must be 1 or more, `mode` 'max' or 'min'. Received: "
                f"keep={keep}, mode={mode!r}"
            )
        if every_steps is not None and every_steps < 1:
            raise ValueError(
                "`every_steps` must be 1 or more, or None. Received: "
                f"every_steps={every_steps}"
            )
        self.folder = pathlib.Path(folder)
        self.every_steps = every_steps
        self.keep = keep
        self.monitor = monitor
        self.mode = mode
        self.writes = worker == 0
        # What metrics have counted lies at each worker; no one can save it.
        self._metrics = ("metrics",) if num_workers == 1 else ()
        self._lock = lock_folder(self.folder) if self.writes else None
        self._path, self._manifest = self._newest()

    @property
    def num_steps(self):
        """How many steps of training the run has behind it."""
        return self._manifest["num_steps"]

    @property
    def epoch(self):
        """The epoch that the run is in, from 0."""
        return self._manifest["epoch"]

    def on_train_begin(self, logs=None):
        if self.writes and not self._lock.is_locked:
            self._lock = lock_folder(self.folder)
        model = self.model
        self._skip = self._manifest["steps_in_epoch"]
        self._check_executions()
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        if self._path is not None:
            load_state(self._path, model, STEP_GROUPS)
        model._initial_epoch = self.epoch  # as BackupAndRestore does
        self._before = self.num_steps - self._skip
        self._monitor = Monitor(self.monitor)
        self._failure = None
        self._termination = Termination()

    def on_epoch_begin(self, epoch, logs=None):
        self._steps = EpochSteps(self, self._skip)
        if self._skip:
            self._skip_steps()

    def on_train_batch_end(self, batch, logs=None):
        steps = self._steps.done(batch)
        if self._skip:
            if steps >= self._skip:
                self.model.train_function = self._train_function
                self._skip = 0
            return
        before = self.num_steps
        self._manifest = {
            **self._manifest,
            "num_steps": self._before + steps,
            "steps_in_epoch": steps,
            "value": None,
        }
        every = self.every_steps
        is_due = every and self.num_steps // every > before // every
        if is_due or self._termination.is_requested:
            self._save()
        self._exit_if_told()

    def on_epoch_end(self, epoch, logs=None):
        self._before = self.num_steps
        logs = logs or {}
        self._manifest = {
            "num_steps": self.num_steps,
            "epoch": epoch + 1,
            "steps_in_epoch": 0,
            "value": self._monitor.value(logs),
        }
        self._save()
        self._monitor.check(logs)
        self._exit_if_told()

    def on_test_begin(self, logs=None):
        self._monitor.is_validated = True

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None
        self._release()
        self._monitor.warn_if_never_found()
        if self._failure is not None:
            raise CheckpointError(
                f"The end of the run could not be saved in {self.folder}: "
                f"{self._failure}. The model is still in memory."
            ) from self._failure

    def _check_executions(self):
        execution, steps = self.model.steps_per_execution, self.params["steps"]
        if execution > 1 and steps is None:
            raise ValueError(
                "`steps_per_epoch` must be given to `fit`, or data of known "
                "length, to count the steps of a last execution. Received: "
                f"steps_per_execution={execution}"
            )
        if self._skip % execution and self._skip != steps:
            raise CheckpointError(
                f"{self._path} was saved {self._skip} steps into an epoch, "
                f"within an execution of {execution}. Compile with a "
                "`steps_per_execution` that divides it, such as 1."
            )

    def _save(self):
        if not self.writes:
            return
        try:
            self._path = write_checkpoint(
                self.folder,
                self.model,
                self._manifest,
                (*STEP_GROUPS, *self._metrics),
            )
            self._failure = None
            remove_old(self.folder, self.keep, self.mode)
        except OSError as error:
            self._failure = error
            warnings.warn(
                f"Step {self.num_steps} could not be saved: {error}. Training "
                "goes on; older checkpoints are as they were.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _newest(self):
        for found in whole_checkpoints(self.folder):
            return found
        if any(self.folder.glob("step-*")):
            raise CheckpointError(
                f"None of the checkpoints in {self.folder} is whole. Begin in "
                "another folder, or remove them."
            )
        start = {"num_steps": 0, "epoch": 0, "steps_in_epoch": 0}
        return None, {**start, "value": None}

    def _skip_steps(self):
        """Runs through the steps of an epoch that were done before."""
        load_state(self._path, self.model, self._metrics)
        self._train_function = self.model.train_function
        logs = self.model.get_metrics_result()

        def done(*arguments):  # JAX hands a state through
            return logs if len(arguments) == 1 else (logs, arguments[0])

        self.model.train_function = done

    def _release(self):
        if self._lock is not None:
            self._lock.release(force=True)
        self._termination.release()

    def _exit_if_told(self):
        if self._termination.is_requested:
            self._release()
            sys.exit(0 if self._failure is None else 1)
