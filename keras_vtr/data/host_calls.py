"""Python functions that the graph of a data set calls."""

import atexit
import ctypes
import gc

import tensorflow as tf

from keras_vtr.host_errors import remembered


def call_on_host(function, inputs, dtype):
    """As `tf.numpy_function`; `own_errors` raises what the function raised."""
    return tf.numpy_function(remembered(function), inputs, dtype)


@atexit.register
def _keep_iterators():
    """Lets the process end while data sets are being read.

    An iterator waits, where it is deleted, for the elements that are being
    read. When the interpreter has ended, a thread that is within a Python
    function, or waits for one, is ended too (CPython 3.11: `take_gil`), so that
    the element never comes and the process stays. So what is not deleted by
    now never is (seen with TensorFlow 2.21).
    """
    for value in gc.get_objects():
        if issubclass(type(value), tf.data.Iterator):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
