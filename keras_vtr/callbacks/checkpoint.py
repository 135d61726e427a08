import pathlib
import sys
import warnings

import keras

from keras_vtr.callbacks.checkpoint_files import STEP_GROUPS
from keras_vtr.callbacks.checkpoint_files import CheckpointError
from keras_vtr.callbacks.checkpoint_files import load_state
from keras_vtr.callbacks.checkpoint_files import lock_folder
from keras_vtr.callbacks.checkpoint_files import note_best
from keras_vtr.callbacks.checkpoint_files import remove_old
from keras_vtr.callbacks.checkpoint_files import whole_checkpoints
from keras_vtr.callbacks.checkpoint_files import write_checkpoint
from keras_vtr.callbacks.monitor import Monitor
from keras_vtr.callbacks.steps import EpochSteps
from keras_vtr.callbacks.termination import Termination


class Checkpoint(keras.callbacks.Callback):
    """Saves checkpoints of a training run and resumes from the newest one.

    A checkpoint holds the complete state of training: weights, optimizer, EMA
    (`use_ema`), seeds of dropout, metrics, and the position in the data. It is
    written atomically, with SHA-256 sums; a damaged one is passed over. If the
    data have a reproducible order
    (`keras_vtr.data.detection_dataset(first_batch=checkpoint.num_steps)`) and
    the device sums in one order (`keras_vtr.training.enable_determinism()`),
    the final weights equal bit by bit those of an uninterrupted run.

    SIGTERM, which schedulers send before they kill, saves after the step in
    progress (in validation: at its end) and exits with 0. A full disk causes a
    warning, and an error only if the end of the run can't be saved. A lock
    keeps other processes out of the folder.

    `keras.callbacks.BackupAndRestore` (3.15.1) overwrites its single file,
    doesn't save seeds, and repeats an interrupted epoch. For models that are
    sharded over devices use `OrbaxCheckpoint`.

    Args:
        folder: The run's folder; created if it doesn't exist.
        every_steps: Optional number of steps between checkpoints within an
            epoch; saved at the end of an execution (`steps_per_execution`).
        keep: Number of newest checkpoints to keep, besides the best one.
        monitor: Optional name in the logs, such as "val_AP", that determines
            the best checkpoint. The callback that adds it must come before
            this one. A name that begins with "val_" may be missing until the
            first validation.
        mode: "max" or "min": whether a high or a low `monitor` is better.
        num_workers: Number of processes that train this model together. All
            resume from the checkpoints of worker 0, in a shared folder.
        worker: This process's number, from 0.

    Raises:
        ValueError: If an argument is out of its range; if
            `steps_per_execution` is above 1 and the steps of an epoch are
            unknown; or if, after the first epoch ("val_": after the first
            validation), `monitor` has never been in the logs.
        CheckpointError: If another process uses the folder, all checkpoints
            are damaged, or the newest one belongs to another model or was
            saved within an execution.

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
        # Each worker accumulates metrics of its own; they are not saved.
        self._metrics = ("metrics",) if num_workers == 1 else ()
        self._lock = lock_folder(self.folder) if self.writes else None
        self._path, self._manifest = self._find_newest()

    @property
    def num_steps(self):
        """Number of completed training steps."""
        return self._manifest["num_steps"]

    @property
    def epoch(self):
        """Number of completed epochs."""
        return self._manifest["epoch"]

    @property
    def num_epochs_since_best(self):
        """Number of completed epochs after the first with the best value."""
        return self.epoch - self._manifest.get("best_epoch", 0)

    def on_train_begin(self, logs=None):
        if self.writes and not self._lock.is_locked:
            self._lock = lock_folder(self.folder)
        model, self._skip = self.model, self._manifest["steps_in_epoch"]
        self._check_execution()
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        if self._path is not None:
            load_state(self._path, model, STEP_GROUPS)
        # Private (Keras 3.15.1): only this sets the first epoch in a callback.
        model._initial_epoch = self.epoch
        self._steps_before_epoch = self.num_steps - self._skip
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
        now = self._steps_before_epoch + steps
        self._manifest |= {"num_steps": now, "steps_in_epoch": steps}
        self._manifest["value"] = None
        every = self.every_steps
        is_due = every and now // every > before // every
        if is_due or self._termination.is_requested:
            self.save()
        self._exit_if_requested()

    def on_epoch_end(self, epoch, logs=None):
        self._steps_before_epoch = self.num_steps
        logs = logs or {}
        self._manifest |= {"epoch": epoch + 1, "steps_in_epoch": 0}
        self._manifest["value"] = self._monitor.value(logs)
        note_best(self._manifest, self.mode)
        self.save()
        self._monitor.check(logs)
        self._exit_if_requested()

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
        self._exit_if_requested()

    def _check_execution(self):
        execution, steps = self.model.steps_per_execution, self.params["steps"]
        if execution > 1 and steps is None:
            raise ValueError(
                "`steps_per_epoch` must be given to `fit`, or data of known "
                "length, to count the steps of the last execution. Received: "
                f"steps_per_execution={execution}"
            )
        if self._skip % execution and self._skip != steps:
            raise CheckpointError(
                f"{self._path} was saved {self._skip} steps into an epoch, "
                f"within an execution of {execution}. Compile with a "
                "`steps_per_execution` that divides it, such as 1."
            )

    def save(self):
        """Saves a checkpoint of the last step."""
        if not self.writes:
            return
        try:
            groups = (*STEP_GROUPS, *self._metrics)
            self._path = write_checkpoint(
                self.folder, self.model, self._manifest, groups
            )
            self._failure = None
            remove_old(self.folder, self.keep, self.mode)
        except OSError as error:
            self._failure = error
            warnings.warn(
                f"Step {self.num_steps} could not be saved: {error}. Training "
                "continues; older checkpoints are unchanged.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _find_newest(self):
        newest = next(whole_checkpoints(self.folder), None)
        if newest is None and any(self.folder.glob("step-*")):
            raise CheckpointError(
                f"All checkpoints in {self.folder} are damaged. Train in "
                "another folder, or remove them."
            )
        counts = dict.fromkeys(("num_steps", "epoch", "steps_in_epoch"), 0)
        return newest or (None, {**counts, "value": None})

    def _skip_steps(self):
        """Makes Keras count the steps of an earlier run without training."""
        load_state(self._path, self.model, self._metrics)
        self._train_function = self.model.train_function
        logs = self.model.get_metrics_result()

        def skip(*arguments):  # JAX passes a state and expects it back.
            return logs if len(arguments) == 1 else (logs, arguments[0])

        self.model.train_function = skip

    def _release(self):
        if self._lock is not None:
            self._lock.release(force=True)
        self._termination.release()

    def _exit_if_requested(self):
        if self._termination.is_requested:
            self._release()
            sys.exit(0 if self._failure is None else 1)
