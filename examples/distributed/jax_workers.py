"""Several machines or devices on JAX: keras.distribution.DataParallel.

On each machine, with the same addresses and its own number:

    python examples/distributed/jax_workers.py scenes --output /shared/run \
        --workers 10.0.0.1:7001,10.0.0.2:7001 --worker 0

On one machine, to try it: 127.0.0.1:7001,127.0.0.1:7002 in two terminals. If
one dies the others end; start all again, and they go on where they were. The
addresses are open to everybody who reaches them: private networks only. The
model.keras that it leaves loads on TensorFlow, to be exported. With
--epochs 1 --steps 60 it took 32 seconds on two cores.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"

import detector
import keras

import keras_vtr


def train(arguments, workers, worker):
    """What each process runs; all must come here."""
    if len(workers) > 1:
        keras.distribution.initialize(",".join(workers), len(workers), worker)
    devices = keras.distribution.list_devices()
    print(f"Worker {worker} of {len(workers)}, {len(devices)} devices in all")
    keras.distribution.set_distribution(
        # `batches` gives each worker its own part, before it is read.
        keras.distribution.DataParallel(auto_shard_dataset=False)
    )
    place = {"num_workers": len(workers), "worker": worker}
    checkpoint = keras_vtr.callbacks.Checkpoint(arguments.output, **place)
    data = detector.read(arguments.folder)
    detr = detector.build(data.class_names)
    detector.compile(detr, arguments)
    batches = detector.batches(data, arguments, checkpoint.num_steps, **place)
    detector.fit(detr, batches, arguments, checkpoint)
    # Saving makes variables (Keras 3.15.1), for which all would have to wait.
    keras.distribution.set_distribution(None)
    if worker == 0:
        detr.save(arguments.output / "model.keras")


def main():
    arguments = detector.parser(__doc__, addresses=True).parse_args()
    train(arguments, arguments.workers, arguments.worker)


if __name__ == "__main__":
    main()
