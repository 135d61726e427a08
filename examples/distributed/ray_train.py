"""Ray starts the workers, and starts them again: Ray Train around JAX.

    python examples/distributed/ray_train.py scenes --output runs/ray

trains as jax_workers.py does, with --workers processes on whatever machines
Ray has (`ray start`; else on this one). If a worker dies, Ray starts all of
them again, and they go on from the last checkpoint. --output and the folder of
the pictures must be seen by all. Ray trusts its network: private ones only.
With --epochs 1 --steps 60 it took 46 seconds on two cores.
"""

import pathlib
import socket

import detector
import ray
from ray import train
from ray.train.collective import broadcast_from_rank_zero
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer


def free_address():
    """Of this machine, as the others see it."""
    with socket.socket() as free:
        free.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"


def work(arguments):
    """One process of the training."""
    import jax
    import jax_workers  # not earlier: it chooses Keras's backend

    context = train.get_context()
    worker, number = context.get_world_rank(), context.get_world_size()
    # Keras wants one address of each; the first one's is what counts.
    address = free_address() if worker == 0 else None
    address = broadcast_from_rank_zero(address)
    jax_workers.train(arguments, [address] * number, worker)
    jax.distributed.shutdown()


def main():
    parser = detector.parser(__doc__)
    parser.add_argument("--workers", type=int, default=2, help="how many")
    parser.add_argument("--max-failures", type=int, default=3)
    arguments = parser.parse_args()
    arguments.folder = arguments.folder.resolve()
    arguments.output = arguments.output.resolve()
    here = pathlib.Path(__file__).parent
    ray.init(runtime_env={"working_dir": str(here)})  # sent to all machines
    has_gpus = ray.cluster_resources().get("GPU", 0) > 0
    trainer = DataParallelTrainer(
        lambda: work(arguments),
        scaling_config=train.ScalingConfig(
            num_workers=arguments.workers, use_gpu=has_gpus
        ),
        run_config=train.RunConfig(
            storage_path=str(arguments.output / "ray"),
            failure_config=train.FailureConfig(arguments.max_failures),
        ),
    )
    trainer.fit()


if __name__ == "__main__":
    main()
