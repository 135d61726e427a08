"""Logs a training to MLflow and to Weights & Biases, by their own callbacks.

    pip install -e ".[examples,integrations]" && python examples/loggers.py

takes 20 seconds of a processor, most of them to import and to compile, and asks
no server: MLflow writes into mlruns/, W&B into wandb/. It prints the loss, 0.84
here, and what is found of it in each. With a server set MLFLOW_TRACKING_URI and
WANDB_MODE=online. TensorBoard is built in: `keras-vtr train --tensorboard`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_TRACKING_URI", "mlruns")
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
os.environ.setdefault("WANDB_MODE", "offline")

import keras
import mlflow
import sklearn.datasets
import wandb
from mlflow.keras import MlflowCallback
from wandb.integration.keras import WandbMetricsLogger

import keras_vtr


def main():
    keras.utils.set_random_seed(0)
    digits = sklearn.datasets.load_digits()
    vit = keras_vtr.models.build_vit(
        num_classes=10,
        image_shape=(8, 8, 1),
        patch_size=2,
        num_layers=1,
        hidden_dim=32,
        num_heads=2,
        mlp_dim=64,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    vit.compile(keras.optimizers.Adam(0.01), loss)
    images = digits.images[..., None] * (255 / 16)
    with mlflow.start_run() as run, wandb.init(project="digits") as other:
        history = vit.fit(
            images,
            digits.target,
            epochs=3,
            verbose=0,
            callbacks=[MlflowCallback(), WandbMetricsLogger()],
        ).history
        in_wandb = other.summary["epoch/loss"]
    in_mlflow = mlflow.get_run(run.info.run_id).data.metrics["loss"]
    print(f"loss {history['loss'][-1]:.4f}")
    print(f"MLflow {in_mlflow:.4f}, W&B {in_wandb:.4f}")


if __name__ == "__main__":
    main()
