"""`python -m keras_vtr`, the same as the command `keras-vtr`."""

import sys

from keras_vtr.command_line.main import main

if __name__ == "__main__":
    sys.exit(main())
