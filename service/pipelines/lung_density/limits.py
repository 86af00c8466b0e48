"""Values beside the limit that they passed."""


def apart(value: float, limit: float, decimals: int) -> str:
    """The value, which is not the limit, with as many decimals as it takes to read as another number than the limit.

    decimals: at least so many.
    """
    texts = (f"{value:.{more}f}" for more in range(decimals, 17))
    return next((text for text in texts if float(text) != limit), repr(value))
