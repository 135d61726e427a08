"""What tests against transformers share; without it and torch they skip."""

import keras
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
torch.set_num_threads(1)

MARKS = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="takes gradients"
    ),
]
