"""Scores by the level of the call: at which signal-to-noise ratio does a reader stop hearing it?

Of a detection set, the labelled windows of each band of 5 dB against all background windows (``separation_auroc_by_level``); of clips, the accuracy of
those in the band (``accuracy_by_level``). The band is in the class column, such as ``-5 to 0 dB``; calls that were estimated to be no louder than
their background, whose level is not known, are a band of their own (`FLOOR_BAND`).

``hearing_threshold_db`` is the level at which the curve, made to rise by isotonic regression, crosses `THRESHOLD` (halfway between guessing and
perfect), between the mean levels of two neighbouring bands; it is of detection sets only. It is missing, and `why_no_threshold` says why, where the
curve does not cross within the levels that there are, or crosses where it can't be placed: between bands with too few calls between them, or just
above the calls of no known level. A replicate that does not cross tells that the threshold lies beyond the levels, not where; to leave such
replicates out would draw the interval's end in. So a threshold has no interval where more than a share of the replicates do not cross
(`MOST_MISSING`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.evaluation.levels import FLOOR_DB
from callspace.evaluation.scoring.unpacked import Family, Key, Predictions
from callspace.metrics import classification, ranking
from callspace.metrics.weights import Floats, Value, ratio

__all__ = [
    "BAND_DB",
    "FLOOR_BAND",
    "HIGHEST",
    "LOWEST",
    "MIN_WINDOWS",
    "MOST_MISSING",
    "THRESHOLD",
    "Band",
    "bands_of",
    "families",
    "low_end",
    "missing_thresholds",
    "threshold",
    "why_no_threshold",
]

#: Metrics whose range is not from 0 to 1.
LOWEST = {"hearing_threshold_db": -np.inf}
HIGHEST = {"hearing_threshold_db": np.inf}
#: Width of a band, in dB.
BAND_DB = 5.0
#: What the band of calls is named that were estimated to be no louder than their background.
FLOOR_BAND = "at or below the background"
#: A band of fewer windows has no score.
MIN_WINDOWS = 10
#: The AUROC at which a call counts as half heard.
THRESHOLD = 0.75
#: The share of replicates without a value above which a metric has no interval.
MOST_MISSING = {"hearing_threshold_db": 0.02}


class Band(NamedTuple):
    """Windows of about one level: its name, and which they are, bool[n]."""

    name: str
    inside: NDArray[np.bool_]


def bands_of(levels: Floats) -> list[Band]:
    """The bands that hold at least `MIN_WINDOWS` windows, lowest first.

    An estimated level is at least `callspace.evaluation.levels.FLOOR_DB`, where all calls are put that are not louder than their background. So they are
    known by it, unless levels lie below it, which then are not estimated.
    """
    known = levels[~np.isnan(levels)]
    on_floor = levels == FLOOR_DB if len(known) and known.min() >= FLOOR_DB else np.zeros(len(levels), dtype=bool)
    numbers = np.where(on_floor, np.nan, np.floor(levels / BAND_DB))
    found = [Band(FLOOR_BAND, on_floor)]
    for number in np.unique(numbers[~np.isnan(numbers)]):
        low = int(number * BAND_DB)
        found.append(Band(f"{low} to {low + int(BAND_DB)} dB", numbers == number))
    return [band for band in found if band.inside.sum() >= MIN_WINDOWS]


def low_end(band: str) -> float:
    """The level in dB at which a band of that name begins; of `FLOOR_BAND`, minus infinity.

    Examples
    --------
    >>> low_end("-5 to 0 dB")
    -5.0
    """
    return -np.inf if band == FLOOR_BAND else float(band.partition(" to ")[0])


def threshold(levels: Floats, values: Floats, sizes: Floats, at: float, low_ends: Sequence[float]) -> float:
    """Where a rising curve crosses `at`, between two neighbouring bands; NaN where it does not, or has fewer than two points.

    Parameters
    ----------
    levels, values, sizes
        float64[bands]: mean level, score, and the weight of its windows; NaN values are left out.
    at
        The score.
    low_ends
        Where each band begins (`low_end`): neighbours begin `BAND_DB` apart.
    """
    kept = ~np.isnan(values) & (sizes > 0)
    after, rising = _crossing(values[kept], sizes[kept], at)
    if after is None or not _neighbours(np.asarray(low_ends)[kept], after):
        return float("nan")
    x = levels[kept]
    share = (at - rising[after - 1]) / (rising[after] - rising[after - 1])
    return float(x[after - 1] + share * (x[after] - x[after - 1]))


def _crossing(values: Floats, sizes: Floats, at: float) -> tuple[int | None, Floats]:
    """The first band that reaches `at` where the one before doesn't, None without any; and the curve made to rise."""
    from scipy.optimize import isotonic_regression

    if len(values) < 2:
        return None, values
    rising = isotonic_regression(values, weights=sizes).x
    return (None if rising[0] >= at or rising[-1] < at else int(np.argmax(rising >= at))), rising


def _neighbours(low_ends: Floats, after: int) -> bool:
    return bool(low_ends[after] - low_ends[after - 1] == BAND_DB)


def why_no_threshold(curve: Mapping[str, tuple[float, float]]) -> str:
    """Why a curve does not say at which level calls are half heard; empty where it does.

    Parameters
    ----------
    curve
        By the name of each band, its AUROC and its number of windows.

    Examples
    --------
    >>> why_no_threshold({"0 to 5 dB": (0.9, 20), "5 to 10 dB": (0.95, 20)})
    'even the faintest calls (0 to 5 dB) are more than half heard'
    """
    names = sorted(curve, key=low_end)
    if len(names) < 2:
        return "the calls are of one band of levels only" if names else "no band of levels has enough calls"
    values, sizes = np.array([curve[name] for name in names], dtype=np.float64).T
    after, rising = _crossing(values, sizes, THRESHOLD)
    if after is None:
        if rising[0] >= THRESHOLD:
            return f"even the faintest calls ({names[0]}) are more than half heard"
        return f"even the loudest calls ({names[-1]}) are not half heard"
    if _neighbours(np.array([low_end(name) for name in names]), after):
        return ""
    below, above = names[after - 1], names[after]
    if below == FLOOR_BAND:
        return f"it lies between calls {below}, whose level is not known, and those of {above}"
    return f"it lies between calls of {below} and of {above}, with too few between to say where"


def missing_thresholds(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Of rows of the results table of one judgement, a sentence for each reader with a curve but no threshold."""
    curves: dict[str, dict[str, tuple[float, float]]] = {}
    placed = set()
    for row in rows:
        if row["metric"] == "separation_auroc_by_level":
            curves.setdefault(row["clusterer"], {})[row["class"]] = row["value"], row["n"]
        elif row["metric"] == "hearing_threshold_db":
            placed.add(row["clusterer"])
    return [
        f"The level at which calls are half heard (hearing_threshold_db) is missing for '{reader}': {why_no_threshold(curve)}."
        for reader, curve in curves.items()
        if reader not in placed
    ]


def families(of: Predictions) -> Iterator[Family]:
    """One family a reader, where the windows' levels are known or estimated."""
    if "level_db" not in of.table.column_names:
        return
    levels = of.numbers("level_db")
    bands = bands_of(np.where(of.labelled, levels, np.nan))
    if not bands:
        return
    if of.task == "detection":
        if of.labelled.all():
            return
        for column, reader in of.columns("separation"):
            yield _family(
                reader, levels, bands, "separation_auroc_by_level", _auroc(of, of.numbers(column), bands), np.asarray(~of.labelled)
            )
    else:
        for column, reader in of.columns("scores"):
            yield _family(
                reader, levels, bands, "accuracy_by_level", _accuracy(of, of.score_matrix(column), bands), np.zeros(len(levels), dtype=bool)
            )


def _auroc(of: Predictions, scores: Floats, bands: list[Band]):
    def curve(weights: NDArray | None) -> list[Value]:
        found = []
        for _, inside in bands:
            kept = np.asarray(inside | ~of.labelled)
            own = None if weights is None else np.asarray(weights)[..., kept]
            found.append(ranking.auroc(np.asarray(of.labelled)[kept], scores[kept], own))
        return found

    return curve


def _accuracy(of: Predictions, scores: Floats, bands: list[Band]):
    codes, guesses = of.matrix.argmax(axis=1), scores.argmax(axis=1)

    def curve(weights: NDArray | None) -> list[Value]:
        return [
            classification.accuracy(codes[inside], guesses[inside], None if weights is None else np.asarray(weights)[..., inside])
            for _, inside in bands
        ]

    return curve


def _family(reader: str, levels: Floats, bands: list[Band], metric: str, curve, beside: NDArray[np.bool_]) -> Family:
    """`beside` are the windows of no band that bear on all of them."""
    keys = [Key("full", reader, name, metric) for name, _ in bands]
    crossing = Key("full", reader, None, "hearing_threshold_db")
    low_ends = [low_end(name) for name, _ in bands]
    sizes = {key: int(inside.sum()) for key, (_, inside) in zip(keys, bands, strict=True)}
    wanted = metric == "separation_auroc_by_level"

    def compute(weights: NDArray | None) -> dict[Key, Value]:
        values = curve(weights)
        found: dict[Key, Value] = dict(zip(keys, values, strict=True))
        if wanted:
            table = np.atleast_2d(np.stack([np.atleast_1d(value) for value in values], axis=-1))
            means, held = _mean_levels(levels, bands, weights)
            crossed = [threshold(*row, THRESHOLD, low_ends) for row in zip(means, table, held, strict=True)]
            found[crossing] = np.array(crossed) if weights is not None and np.ndim(weights) == 2 else crossed[0]
        return found

    own = {key: inside | beside for key, (_, inside) in zip(keys, bands, strict=True)}
    return Family(sizes | ({crossing: sum(sizes.values())} if wanted else {}), compute, np.logical_or.reduce(list(own.values())), own)


def _mean_levels(levels: Floats, bands: list[Band], weights: ArrayLike | None) -> tuple[Floats, Floats]:
    """The mean level of each band's windows as they are weighted, NaN where none is, and the sum of their weights; each float64[R, bands]."""
    rows = np.ones((1, len(levels))) if weights is None else np.atleast_2d(np.asarray(weights, dtype=np.float64))
    held = np.stack([rows[:, inside].sum(axis=1) for _, inside in bands], axis=-1)
    sums = np.stack([rows[:, inside] @ levels[inside] for _, inside in bands], axis=-1)
    return ratio(sums, held), held
