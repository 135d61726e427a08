"""A program that ends while threads are within Python functions."""

import sys
import time

import tensorflow as tf

import keras_vtr


def slowly(i):
    time.sleep(0.3)
    return i


numbers = tf.data.Dataset.counter()
for num_threads in (4, None):  # of a pool, and that of `prefetch`
    numbers = numbers.map(
        lambda i: tf.numpy_function(slowly, [i], tf.int64), num_threads
    ).prefetch(4)
reading = iter(numbers)  # there until the end, as in an error's traceback
print(f"read {next(reading)}, {keras_vtr.data.__name__}", flush=True)
if sys.argv[1] == "error":
    raise ValueError("broken")
sys.exit(3)
