"""Python functions that the graph of a data set calls."""

import atexit
import ctypes
import gc

import tensorflow as tf

from keras_vtr.host_errors import remembered


def call_on_host(function, inputs, dtype):
    """`tf.numpy_function`, whose original errors `own_errors` raises."""
    return tf.numpy_function(remembered(function), inputs, dtype)


@atexit.register
def _keep_iterators():
    """Avoids a deadlock at exit while data sets are being read.

    A deleted iterator waits for the elements that are being read. But after the
    interpreter's end, threads within a Python function end too (CPython 3.11:
    `take_gil`), the element never comes, and the process hangs (TensorFlow
    2.21). So the iterators that still exist at exit are never deleted.
    """
    for value in gc.get_objects():
        if issubclass(type(value), tf.data.Iterator):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
