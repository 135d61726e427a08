"""Several machines, TensorFlow: MultiWorkerMirroredStrategy.

On each machine, with the same addresses and its own number:

    python examples/distributed/multi_worker.py scenes --output /shared/run \
        --workers 10.0.0.1:7001,10.0.0.2:7001 --worker 0

On one machine, to try it: 127.0.0.1:7001,127.0.0.1:7002 in two terminals. If
one dies the others end; start all again, and they go on where they were. The
addresses are open to everybody who reaches them: private networks only.
With --epochs 1 --steps 60 it took 36 seconds on two cores.
"""

import json
import os

import detector
import keras
import tensorflow as tf

import keras_vtr


@keras.saving.register_keras_serializable(package="examples")
class MultiWorkerModel(keras_vtr.models.DetectionModel):
    """Steps whose logs have an axis, which Keras 3.15.1 takes the mean over."""

    def train_step(self, data):
        logs = super().train_step(data)
        return {name: value[None] for name, value in logs.items()}


def join(workers, worker):
    """Waits for the other workers."""
    task = {"type": "worker", "index": worker}
    cluster = {"worker": workers}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
    return tf.distribute.MultiWorkerMirroredStrategy()


def main():
    arguments = detector.parser(__doc__, addresses=True).parse_args()
    strategy = join(arguments.workers, arguments.worker)
    place = {
        "num_workers": len(arguments.workers),
        "worker": arguments.worker,
    }
    checkpoint = keras_vtr.callbacks.Checkpoint(arguments.output, **place)
    data = detector.read(arguments.folder)
    with strategy.scope():
        detr = detector.build(data.class_names)
        training_model = MultiWorkerModel(detr.input, detr.output)
        detector.compile(training_model, arguments)
    batches = detector.batches(data, arguments, checkpoint.num_steps, **place)
    # It is this worker's part already.
    dataset = strategy.distribute_datasets_from_function(lambda _: batches)
    detector.fit(training_model, dataset, arguments, checkpoint)
    # Outside of the scope: within it all would have to come along.
    if arguments.worker == 0:
        detr.save(arguments.output / "model.keras")


if __name__ == "__main__":
    main()
