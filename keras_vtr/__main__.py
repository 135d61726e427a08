"""`python -m keras_vtr`: `keras-vtr`, with what TensorFlow prints at its start.

Python imports the package before this file; `python -m keras_vtr_command` is
silent.
"""

import sys

from keras_vtr.command_line.main import main

if __name__ == "__main__":
    sys.exit(main())
