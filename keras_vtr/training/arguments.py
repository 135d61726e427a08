"""Checks of the arguments of recipes."""


def check_positive(**numbers):
    """Requires numbers above 0."""
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(
                f"`{name}` must be above 0. Received: {name}={value}"
            )
