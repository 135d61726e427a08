"""Claim: a convolutional stem helps a ViT at small compute, and then less.

    python examples/claims/hybrid.py

Took 15 minutes on one busy core; `--short` less, for numbers that mean
nothing. Dosovitskiy et al. 2020, section 4.4, figure 5 and table 6: at four
budgets of pre-training hybrids were better by 4.2, 1.4, 0.3 and 0.0 points.
Here a budget is training compute in GFLOPs, the same for both, so that the
hybrid, which costs more for an image, sees fewer images. What this gives stands
in README.md.
"""

import digit_vit
import experiment
import keras
import tensorflow as tf

import keras_vtr

BUDGETS = (50, 200, 800)  # GFLOPs: steps * images * forward * 3
VARIANTS = {"pure": {"is_hybrid": False}, "hybrid": {"is_hybrid": True}}


def build(is_hybrid):
    if not is_hybrid:
        return keras_vtr.models.build_vit(**digit_vit.VIT)
    stem = keras_vtr.backbones.build_bit_resnet(
        digit_vit.VIT["image_shape"], num_units=(), width=32
    )
    settings = {**digit_vit.VIT, "patch_size": 2}  # of the stem's 8 x 8 map
    return keras_vtr.models.build_vit(**settings, backbone=stem)


def gigaflops(vit):
    """Of one image forward, counted by TensorFlow's profiler."""
    profiler = tf.compat.v1.profiler
    shape = (1, *digit_vit.VIT["image_shape"])
    function = tf.function(lambda images: vit(images, training=False))
    graph = function.get_concrete_function(tf.TensorSpec(shape)).graph
    options = profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return profiler.profile(graph, options=options).total_float_ops / 1e9


def measure(seed, steps, is_hybrid):
    """Accuracy after each budget, from the start each time.

    Args:
        seed: Of the training.
        steps: Percent of the budgets.
        is_hybrid: Whether the ViT has a convolutional stem.
    """
    for budget in BUDGETS:
        keras.utils.set_random_seed(seed)
        vit = build(is_hybrid)
        # Backward costs twice as much as forward.
        of_step = 3 * digit_vit.BATCH_SIZE * gigaflops(vit)
        num_steps = max(1, round(budget / of_step * steps / 100))
        digit_vit.train(vit, num_steps)
        accuracy = digit_vit.accuracy(vit)
        yield {"GFLOPs": budget, "accuracy": accuracy, "steps": num_steps}


if __name__ == "__main__":
    experiment.run(
        __file__,
        VARIANTS,
        measure,
        steps=100,
        values=["accuracy", "steps"],
        x="GFLOPs",
        log="x",
    )
