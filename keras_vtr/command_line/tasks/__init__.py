"""What the commands do with boxes, and with classes of whole pictures."""

from keras_vtr.command_line.run_folder import read_config
from keras_vtr.command_line.tasks.classification import Classification
from keras_vtr.command_line.tasks.detection import Detection
from keras_vtr.data import ClassificationRecords

TASKS = {task.name: task for task in (Detection, Classification)}


def task_of_data(data, options):
    """The task that records are for, with the options of a training."""
    is_classes = isinstance(data, ClassificationRecords)
    task = Classification if is_classes else Detection
    _refuse_others(task, options, task.training)
    return task({**options, **task.defaults(options)})


def task_of_run(folder, options):
    """The task of a run in this folder, for a command with these options."""
    config = read_config(folder)
    task = TASKS[config.get("task", Detection.name)]
    _refuse_others(task, options, task.use)
    return task(config, folder)


def _refuse_others(task, options, own):
    """Refuses options that are given, but are not of this task."""
    others = {
        name
        for other in TASKS.values()
        for name in (*other.training, *other.use)
    } - set(own)
    # Not by `in`: 0, such as of --backbone-learning-rate, equals False.
    given = {
        name: options[name]
        for name in sorted(others)
        if not any(options.get(name) is x for x in (None, False))
    }
    if given:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(
            f"{words} must be left out for {task.name}, the task of this data. "
            f"Received: {given}"
        )
