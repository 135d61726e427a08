"""The number in the logs that determines the best checkpoint."""

import warnings

import numpy as np


class Monitor:
    """Reads the number from the logs of each epoch.

    A name "val_..." may be missing until the first validation
    (`validation_freq`); any other name must be in the logs of the first epoch.
    Later epochs may lack it.

    Args:
        name: The number's name, or None.
    """

    def __init__(self, name):
        self.name = name
        self.is_validated = False
        self._is_found = name is None
        self._is_awaited = False

    def value(self, logs):
        """The number in the logs if it is there and finite, or None."""
        value = logs.get(self.name)
        self._is_found |= value is not None
        is_finite = value is not None and np.isfinite(value)
        return float(value) if is_finite else None

    def check(self, logs):
        """Raises `ValueError` if the name is missing and may not be."""
        was_validated = self.is_validated or any(
            x.startswith("val_") for x in logs
        )
        is_validation = self.name and self.name.startswith("val_")
        may_follow = is_validation and not was_validated
        self._is_awaited = not self._is_found and may_follow
        if not self._is_found and not self._is_awaited:
            raise ValueError(
                "`monitor` must be in the logs, added by a callback that comes "
                f"before. Received: monitor={self.name!r}, the logs hold "
                f"{sorted(logs)}. The epoch is saved. A callback that adds it "
                "in later epochs only must add NaN in the first one."
            )

    def warn_if_never_found(self):
        if self._is_awaited:
            warnings.warn(
                f"There is no best epoch: {self.name!r} was never in the logs, "
                "and there was no validation.",
                RuntimeWarning,
                stacklevel=3,
            )
