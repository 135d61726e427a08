"""Measures of boxes once more, one pair at a time."""


def restate(box1, box2):
    """IoU and generalized IoU of two `xyxy` boxes, in Python floats."""

    def area(x1, y1, x2, y2):
        return max(x2 - x1, 0.0) * max(y2 - y1, 0.0)

    a, b = [float(x) for x in box1], [float(x) for x in box2]
    shared = area(
        max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    )
    hull = area(
        min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
    )
    union = area(*a) + area(*b) - shared
    overlap = shared / union if union else 0.0
    return overlap, overlap - (hull - union) / hull if hull else 0.0
