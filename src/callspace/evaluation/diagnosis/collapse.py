"""Has the embedding collapsed, and do a few windows crowd the neighbourhoods?

Collapse, from the singular values s of the centred embedding:

- *effective rank*: exp of the entropy of s / sum(s) (O. Roy and M. Vetterli, EUSIPCO 2007); 1 where all windows lie on a line, d where all
  directions are alike. A tuned encoder may well keep no more directions than its K classes take where they are evenly spread: K - 1 (V. Papyan,
  X. Y. Han, D. L. Donoho, PNAS 117, 2020), or d if that is less; and fewer can tell them all (points on a circle). So few directions are a problem
  only where there are fewer than a quarter of min(K - 1, d), they are few for d too (a tenth), and the labels are not told all the same.
- *labels told*: of each window by its 10 nearest neighbours of other groups; how far their balanced accuracy is from chance to 1.
- *first component*: its share of the variance. Large in good embeddings too (loudness), so that alone it is only worth a look.
- *dead dimensions*: standard deviation below 1e-6 of the root mean square over dimensions. Networks with ReLU have many; worth a look.
- *spread*: variance over mean squared norm. Below 1e-10 what tells the windows apart is near the rounding of float32 (6e-8, squared: 4e-15, over
  the dimensions of the norm), below 1e-3 cosines without centring are all near 1 (K. Ethayarajh, EMNLP 2019).
- *copies*: share of windows whose embedding is exactly that of a window of another recording. The network hears the same in both.

Hubs, among the 10 nearest neighbours by Euclidean distance: the skewness of how often each window is a neighbour (M. Radovanović,
A. Nanopoulos, M. Ivanović, JMLR 11, 2010; above 1.4 it is called high: R. Feldbauer and A. Flexer, Knowledge and Information Systems 59, 2019),
and the share of all places that the most wanted hundredth of the windows have. Both grow with the intrinsic dimension in perfectly good
data: 5,000 windows of structureless noise of 768 dimensions have a skewness of 7, and a hundredth of them 22 % of the places. So a problem
begins at a third of the places. Among fewer than 400 windows the most wanted hundredth can't have a third, and in 150 of noise one may be a neighbour of
nearly all: so one that more than half of the others have among their neighbours is worth a look, and no more. Beside it stands the same share by the cosine of the centred embedding, which takes away the hubs near
the centre (I. Suzuki et al., EMNLP 2013), as a remedy that is measured.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from callspace.evaluation.diagnosis.classes import balanced
from callspace.evaluation.diagnosis.finding import Finding, Verdict
from callspace.metrics.distances import Metric, validate_vectors
from callspace.metrics.neighbours import k_nearest
from callspace.metrics.weights import Floats

__all__ = ["collapse", "effective_rank", "hubs", "k_occurrence"]

NEIGHBOURS = 10
#: More windows are sampled, for time; the sample is seeded.
_MOST = 5_000
_FEW = 50
#: Of fewer windows, one is in most neighbourhoods of ten whatever the data.
_FEW_FOR_HUBS = 100
_HIGH_SKEWNESS = 1.4
#: Shares of all places that the most wanted hundredth has: worth a look, a problem.
_WANTED, _CROWDED = 0.1, 1 / 3
#: The share of the other windows that have one window among their neighbours.
_EVERYWHERE = 0.5
_DEAD = 1e-6
_NEARLY_CONSTANT, _NARROW = 1e-10, 1e-3
_FIRST = 0.9
_MOST_DEAD = 0.5
_MANY_COPIES, _SOME_COPIES = 0.5, 0.05
#: Shares of the directions that evenly spread classes would have, and of the dimensions; how far labels must be told, from chance to 1.
_FEW_DIRECTIONS, _FEW_OF_ALL, _TOLD = 0.25, 0.1, 0.7


def effective_rank(vectors: ArrayLike) -> float:
    """Exp of the entropy of the singular values of the centred vectors, over their sum; 0 where all vectors are equal.

    Parameters
    ----------
    vectors
        float[n, d].
    """
    return _rank_of(_spectrum(validate_vectors(vectors)))


def k_occurrence(vectors: ArrayLike, k: int = NEIGHBOURS, metric: Metric = "euclidean") -> NDArray[np.intp]:
    """How often each window is among the k nearest of another: int[n]; their mean is k."""
    near, _ = k_nearest(vectors, k, metric=metric)
    return np.bincount(near.ravel(), minlength=len(near))


def collapse(
    vectors: ArrayLike,
    *,
    n_classes: int | None = None,
    codes: NDArray[np.intp] | None = None,
    groups: ArrayLike | None = None,
    recordings: list[str] | None = None,
    subject: dict[str, Any] | None = None,
    seed: int = 0,
) -> Finding:
    """Effective rank, first component, dead dimensions, spread and copies.

    Parameters
    ----------
    vectors
        float[n, d].
    n_classes
        How many classes are to be told apart, background included; without it the rank is judged as for two.
    codes, groups
        The class and the group of each window, so that it can be seen whether the labels are told all the same; windows of a negative class don't count.
    recordings
        The recording of each window, so that copies within one (silence, overlapping windows) don't count; without them all do.
    subject
        Goes into the finding.
    seed
        Of the sample, above 5,000 windows.

    Raises
    ------
    CallspaceError
        Where a vector holds NaN.
    """
    subject = subject or {}
    points = validate_vectors(vectors)
    n, d = points.shape
    if n < 2 or d < 1:
        return _too_few(n, subject)
    deviations = points.std(axis=0)
    typical = float(np.sqrt((deviations**2).mean()))
    norm = float((points**2).sum(axis=1).mean())
    spread = float((deviations**2).sum()) / norm if norm else 0.0
    copies = _copies(points, recordings)
    evidence: dict[str, Any] = {"windows": n, "dimensions": d, "spread": spread, "copies": copies, "n_classes": n_classes}
    if spread <= _NEARLY_CONSTANT:
        sentence = f"The embedding is nearly the same for all windows (its variance is {spread:.1g} of its squared length)."
        return Finding("collapse", subject, "problem", sentence, evidence, _CONSTANT_REMEDY)
    if n < _FEW:
        return _too_few(n, subject)
    rows = _rows(n, seed)
    spectrum = _spectrum(points[rows])
    rank, first = _rank_of(spectrum), float(spectrum[0] ** 2 / (spectrum**2).sum())
    dead = float((deviations <= _DEAD * typical).mean())
    told = None if codes is None or groups is None else _labels_told(points[rows], codes[rows], np.asarray(groups, dtype=str)[rows])
    evidence |= {"effective_rank": rank, "first_component": first, "dead_dimensions": dead, "labels_told": told}
    verdict, sentence, remedy = _said(rank, first, dead, spread, copies, d, max(n_classes or 2, 2), told)
    return Finding("collapse", subject, verdict, sentence, evidence, remedy)


def _too_few(n: int, subject: dict[str, Any]) -> Finding:
    sentence = f"Collapse is not looked at: there are {n} windows, fewer than {_FEW}."
    return Finding("collapse", subject, "unmeasured", sentence, {"windows": n})


def hubs(vectors: ArrayLike, windows: pa.Table | None = None, *, subject: dict[str, Any] | None = None, seed: int = 0) -> Finding:
    """Hubness: windows that are everyone's neighbours.

    Parameters
    ----------
    vectors
        float[n, d].
    windows
        The windows table, to name the hubs.
    subject
        Goes into the finding.
    seed
        Of the sample, above 5,000 windows.
    """
    subject = subject or {}
    points = validate_vectors(vectors)
    if len(points) < _FEW_FOR_HUBS:
        sentence = f"Hubs are not looked for: there are {len(points)} windows, fewer than {_FEW_FOR_HUBS}."
        return Finding("hubs", subject, "unmeasured", sentence)
    if not (points != points[0]).any():
        return Finding("hubs", subject, "unmeasured", "Hubs are not looked for: all windows have the same embedding.")
    rows = _rows(len(points), seed)
    counts = k_occurrence(points[rows])
    centred = k_occurrence(points[rows] - points[rows].mean(axis=0), metric="cosine")
    wanted = np.argsort(-counts, kind="stable")[: max(1, len(rows) // 100)]
    fair = len(wanted) / len(rows)
    share, after = (float(np.sort(each)[::-1][: len(wanted)].sum() / each.sum()) for each in (counts, centred))
    evidence = {
        "skewness": _skewness(counts),
        "share_of_the_most_wanted": share,
        "share_after_centring": after,
        "most_wanted": len(wanted),
        "never_a_neighbour": float((counts == 0).mean()),
        "most": int(counts.max()),
        "k": NEIGHBOURS,
        "windows": len(rows),
    }
    most, others = evidence["most"], len(rows) - 1
    top = f"the most wanted {100 * fair:.2g} % of the windows have {100 * share:.0f} % of all places among the {NEIGHBOURS} nearest neighbours"
    one = f"the most wanted window is among the {NEIGHBOURS} nearest neighbours of {most:,} of the {others:,} others"
    everywhere = most > _EVERYWHERE * others
    if not everywhere and (share <= _WANTED + fair or evidence["skewness"] <= _HIGH_SKEWNESS):
        return Finding("hubs", subject, "fine", f"No window crowds the neighbourhoods: {top}; {one}.", evidence)
    remedy = f"{_HUB_REMEDY} By the cosine of the centred embedding they have {100 * after:.0f} %."
    named = [] if windows is None else [_window(windows, int(rows[at]), int(counts[at])) for at in wanted[:10]]
    if share > _CROWDED + fair:
        return Finding("hubs", subject, "problem", f"A few windows are everyone's neighbours: {top}.", evidence, remedy, named)
    sentence = f"Some windows are neighbours far more often than others: {top}; {one}."
    return Finding("hubs", subject, "look", sentence, evidence, remedy, named)


def _skewness(counts: NDArray[np.intp]) -> float:
    deviation = float(counts.std())
    return float(((counts - counts.mean()) ** 3).mean() / deviation**3) if deviation else 0.0


_CONSTANT_REMEDY = "See whether the encoder was given its weights and the sound (rate, level, channel); a network tuned to this has diverged: lower the learning rate."
_HUB_REMEDY = "Listen to the hubs (silence, clipping, noise?) and leave bad windows out; for kNN and retrieval centre the embedding, or use a linear probe."


def _said(
    rank: float, first: float, dead: float, spread: float, copies: float, d: int, n_classes: int, told: float | None
) -> tuple[Verdict, str, str]:
    facts = (
        f"effective rank {rank:.1f} of {d}, first component {100 * first:.0f} % of the variance, {100 * dead:.0f} % of the dimensions dead"
    )
    if copies > _MANY_COPIES:
        return (
            "problem",
            f"{100 * copies:.0f} % of the windows have exactly the embedding of a window of another recording ({facts}).",
            _CONSTANT_REMEDY,
        )
    looks = []
    spread_out = min(n_classes - 1, d)
    if rank - 1 < _FEW_DIRECTIONS * spread_out and n_classes > 2:
        facts += f"; {n_classes} classes that are evenly spread take {spread_out} directions"
        if told is not None:
            facts += f", and 10 nearest neighbours tell the labels {100 * told:.0f} % of the way from chance to always"
        if rank <= max(2.0, _FEW_OF_ALL * d) and not (told is not None and told >= _TOLD):
            return (
                "problem",
                f"The embedding has collapsed: {facts}.",
                "Take an earlier layer; if the encoder was tuned, lower the learning rate or unfreeze less.",
            )
        looks.append("look at the scores of an earlier layer, which may have kept more")
    if first > _FIRST:
        looks.append("one direction holds nearly all of the variance: standardise before using distances, and see whether it is the level")
    if dead > _MOST_DEAD:
        looks.append("most dimensions never change: see whether another layer holds more")
    if spread < _NARROW:
        looks.append("all windows lie close together, far from the origin: centre before using cosines")
    if copies > _SOME_COPIES:
        looks.append(
            f"{100 * copies:.0f} % of the windows have exactly the embedding of a window of another recording: look for silence or copies"
        )
    if looks:
        return "look", f"The embedding uses few of its directions: {facts}.", "; ".join(looks)[:1].upper() + "; ".join(looks)[1:] + "."
    return "fine", f"The embedding has not collapsed: {facts}.", ""


def _spectrum(points: Floats) -> Floats:
    """The singular values of the centred points, largest first."""
    from scipy.linalg import svdvals

    return svdvals(points - points.mean(axis=0))


def _rank_of(spectrum: Floats) -> float:
    total = spectrum.sum()
    # What centring equal vectors leaves by rounding is no direction.
    if not total > 0:
        return 0.0
    shares = spectrum[spectrum > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _copies(points: Floats, recordings: list[str] | None) -> float:
    """The share of windows whose vector is that of a window of another recording (of any other window, without recordings)."""
    rows = np.ascontiguousarray(points.astype(np.float32))
    _, same = np.unique(rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel(), return_inverse=True)
    names = np.arange(len(rows)) if recordings is None else np.unique(np.asarray(recordings, dtype=str), return_inverse=True)[1]
    pairs = np.unique(np.stack([same, names]), axis=1)
    return float((np.bincount(pairs[0])[same] > 1).mean())


def _rows(n: int, seed: int) -> np.ndarray:
    return np.arange(n) if n <= _MOST else np.sort(np.random.default_rng(seed).choice(n, _MOST, replace=False))


def _labels_told(points: Floats, codes: NDArray[np.intp], groups: NDArray[np.str_]) -> float | None:
    """How far from chance to 1 neighbours of other groups tell the classes that several groups have; None where there are no two of these."""
    of = [code for code in np.unique(codes[codes >= 0]) if len(np.unique(groups[codes == code])) > 1]
    rows = np.flatnonzero(np.isin(codes, of))
    if len(of) < 2:
        return None
    classes = np.searchsorted(of, codes[rows])
    near, _ = k_nearest(points[rows], min(NEIGHBOURS, len(rows) - 1), groups=groups[rows].tolist())
    at, rank = np.nonzero(near >= 0)
    votes = np.bincount(at * len(of) + classes[near[at, rank]], minlength=len(rows) * len(of)).reshape(len(rows), len(of))
    score = float(balanced((votes.argmax(axis=1) == classes).astype(np.float64), classes)[0])
    return (score - 1 / len(of)) / (1 - 1 / len(of))


def _window(windows: pa.Table, row: int, count: int) -> dict[str, Any]:
    one = windows.slice(row, 1).to_pylist()[0]
    named = {name: one[name] for name in ("window_id", "recording", "onset_s", "offset_s")}
    return named | {"label": ", ".join(one["labels"] or []), "said": f"among the {NEIGHBOURS} nearest neighbours of {count} windows"}
