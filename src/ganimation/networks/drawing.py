"""Numbers on which the generator of muscles agrees in training (torch) and in editing (numpy)."""

#: The windows of a crop in which eyes and mouths open: left, top, right and bottom as shares of the side. They are
#: whole multiples of 1/32, so that every size that is a multiple of 32 gives whole pixels.
EYES = (0.125, 0.21875, 0.875, 0.46875)
MOUTH = (0.25, 0.5, 0.75, 1.0)
WINDOWS = (EYES, MOUTH)

#: Shading of all AUs together stays within these logarithms of a factor on brightness. Folds are dark.
DARKEST, BRIGHTEST = -1.2, 0.15


def edges(window: tuple[float, float, float, float], height: int, width: int) -> tuple[int, int, int, int]:
    """Return the left, top, right and bottom of a window in pixels."""
    left, top, right, bottom = window
    return round(left * width), round(top * height), round(right * width), round(bottom * height)
