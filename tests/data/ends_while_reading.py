"""A program that ends by an error of one thread while others read on."""

import time

import tensorflow as tf

from keras_vtr.data.host_calls import call_on_host


def slowly(i):
    time.sleep(0.5)
    if i == 3:
        raise ValueError("the fourth is broken")
    return i


def main():
    numbers = tf.data.Dataset.counter()
    for num_threads in (4, None):  # of a pool, and that of `prefetch`
        numbers = numbers.map(
            lambda i: call_on_host(slowly, [i], tf.int64), num_threads
        ).prefetch(4)
    for i in numbers:
        print(f"read {int(i)}", flush=True)


if __name__ == "__main__":
    main()
