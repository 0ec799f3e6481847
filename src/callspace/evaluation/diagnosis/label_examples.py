"""The windows that a person should listen to: suspects, and of each class the most typical and the most misplaced.

Where windows of a class can be judged by windows of other groups, self-confidence orders them. Where they can't, since all are of one group or
there is one class only, the distance to the mean of the class does (of standardised vectors): that says which window is odd, not which class it is of.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from callspace.metrics.weights import Floats

__all__ = ["Example", "listed", "of_class", "of_class_alone"]

_SHOWN = 3

Codes = NDArray[np.intp]
#: Kind, row of the windows table, what is said of it, self-confidence.
Example = tuple[str, int, str, float | None]


def of_class(name: str, rows: Codes, confidence: Floats) -> list[Example]:
    """The windows of one class that are least and most confidently of it; `rows` int[n] in the windows table, `confidence` float64[n]."""
    low, high = _ends(confidence)
    return [
        *(("misplaced", int(rows[at]), f"among the least like {name}", float(confidence[at])) for at in low),
        *(("typical", int(rows[at]), f"among the most like {name}", float(confidence[at])) for at in high),
    ]


def of_class_alone(name: str, rows: Codes, points: Floats) -> list[Example]:
    """The windows of one class that are furthest from its mean and nearest to it; `points` float64[n, d], the vectors of `rows`."""
    low, high = _ends(-np.linalg.norm(points - points.mean(axis=0), axis=1))
    said = f"from the mean of {name}, by its own windows alone"
    return [
        *(("misplaced", int(rows[at]), f"among the furthest {said}", None) for at in low),
        *(("typical", int(rows[at]), f"among the least far {said}", None) for at in high),
    ]


def listed(examples: list[Example], windows: pa.Table, classes: list[str]) -> list[dict[str, Any]]:
    """The examples as the windows of a finding; `classes`, the class of each row of the windows table."""
    taken = pa.array([row for _, row, _, _ in examples], pa.int64())
    table = windows.select(["window_id", "recording", "onset_s", "offset_s"]).take(taken).to_pylist()
    return [
        one | {"label": classes[row], "kind": kind, "said": said, "self_confidence": confidence}
        for one, (kind, row, said, confidence) in zip(table, examples, strict=True)
    ]


def _ends(order_by: Floats) -> tuple[Codes, Codes]:
    """The places of the lowest and of the highest, no window in both; one window alone is the highest."""
    order = np.argsort(order_by, kind="stable")
    n_low = min(_SHOWN, len(order) // 2)
    n_high = min(_SHOWN, len(order) - n_low)
    return order[:n_low], order[::-1][:n_high]
