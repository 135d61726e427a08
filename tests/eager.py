"""Training and prediction that run line by line instead of compiled.

    python -m tests.eager MODULE OPTIONS ...
    python -m tests.eager FILE.py OPTIONS ...

What they give is the same; to trace and compile one step of a detector takes
longer than a few of its steps, so tests of a few steps run so. Those marked
`compiled` run as users do, and so does JAX, which compiles each operation even
line by line.
"""

import pathlib
import runpy
import sys

import keras

is_eager = CAN_BE_EAGER = keras.backend.backend() != "jax"

# `compile`, which loading a model calls as well, can't change it.
keras.Model.run_eagerly = property(
    lambda model: is_eager, lambda model, value: None
)

if __name__ == "__main__":
    del sys.argv[0]
    program = sys.argv[0]
    if program.endswith(".py"):
        sys.path.insert(0, str(pathlib.Path(program).parent))
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
