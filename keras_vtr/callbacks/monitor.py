"""The number in the logs that a run is judged by."""

import warnings

import numpy as np


class Monitor:
    """Reads the number from the logs of each epoch.

    Validation may come later than training (`validation_freq`), so a name of
    it, "val_...", is waited for until there is some; any other is missed at
    once. Found once, it may be missing again.

    Args:
        name: The number's name, or None for none.
    """

    def __init__(self, name):
        self.name = name
        self.is_validated = False
        self._is_found = name is None
        self._is_awaited = False

    def value(self, logs):
        """A finite number, or None."""
        value = logs.get(self.name)
        self._is_found |= value is not None
        return float(value) if _is_finite(value) else None

    def check(self, logs):
        """Refuses a name that isn't there where it has to be."""
        was_validated = self.is_validated or any(
            x.startswith("val_") for x in logs
        )
        is_later = self.name and self.name.startswith("val_")
        self._is_awaited = not self._is_found and is_later and not was_validated
        if not self._is_found and not self._is_awaited:
            raise ValueError(
                "`monitor` must be in the logs, added by a callback that comes "
                f"before. Received: monitor={self.name!r}, the logs hold "
                f"{sorted(logs)}. The epoch is saved. A callback that adds it "
                "in some epochs only adds NaN in those before."
            )

    def warn_if_never_found(self):
        if self._is_awaited:
            warnings.warn(
                f"No epoch was judged: {self.name!r} was never in the logs, "
                "and there was no validation.",
                RuntimeWarning,
                stacklevel=3,
            )


def _is_finite(value):
    return value is not None and bool(np.isfinite(value))
