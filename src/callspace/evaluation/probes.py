"""Three probes of what an embedding holds, fitted on train, chosen on valid: a linear one, one of neighbours, one of class means.

Features are standardised by the mean and standard deviation of the train split.

- ``linear``: logistic regression, softmax for classification and a sigmoid a label for detection; C of `C_GRID`.
- ``knn``: the share of the k nearest train windows, by cosine distance, that have a label; k of `K_GRID`.
- ``prototype``: the nearest class mean by cosine, as the regime of that name has it (`callspace.adaptation.prototype`); valid only chooses
  what makes probabilities of cosines, and no ranking depends on it.

The setting with the best score on valid is taken (accuracy for classification, mAP for detection; of equals the smaller k, and the C under
which the labels of valid are likeliest), the same for all labels; the test split is scored once, with that one. Without a valid split
that can be scored, or one of labels that train never has only, the defaults are used and it is said. So it is where the choice is at an edge
of its grid and better than its neighbour, so that one beyond might be better still. A label that train never has scores 0 everywhere.

Neighbours that tie for the last of the k places vote by the chance of each to have one. In classification labels with the same number of votes
differ by up to `_UNTIED`, the label whose voters are nearer ahead: otherwise the order of the vocabulary would decide.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from callspace.adaptation.logistic import C_GRID, DEFAULT_C, Link, best_strength, regularisation_path, standardiser
from callspace.metrics.classification import accuracy
from callspace.metrics.neighbours import ClassCounts, class_counts, k_nearest, neighbourhoods
from callspace.metrics.ranking import mean_average_precision
from callspace.metrics.weights import Floats

__all__ = ["C_GRID", "K_GRID", "PROBES", "Probe", "Split", "splits_of", "standardised"]

K_GRID = (1, 5, 15, 50, 150)
_DEFAULT_K = 5
_UNTIED = 1e-9  # of all votes: less than any two numbers of votes that differ

#: From bool[n, K] truth and float64[n, K] scores to the number that valid is chosen by.
Criterion = Callable[[NDArray[np.bool_], Floats], float]


@dataclass(frozen=True)
class Split:
    """Features float64[n, d] and which of K labels each window has, bool[n, K]."""

    features: Floats
    labels: NDArray[np.bool_]


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Attributes
    ----------
    scores, on_valid
        float64[n, K]: probabilities of each label in the test split and in the valid split.
    choice
        What was chosen on valid.
    valid
        Its score there; NaN where there is none.
    notes
        Sentences on what a reader should know.
    """

    scores: Floats
    on_valid: Floats
    choice: dict[str, float]
    valid: float
    notes: list[str] = field(default_factory=list)


def standardised(train: Floats, *others: Floats) -> list[Floats]:
    """`train` and `others` less the mean of `train`, over its standard deviation (1 where a dimension is constant)."""
    mean, deviation = standardiser(train)
    return [(split - mean) / deviation for split in (train, *others)]


def splits_of(vectors: Floats, labels: NDArray[np.bool_], split: Sequence[str]) -> tuple[Split, Split, Split]:
    """Train, valid and test, with standardised features; `train` must not be empty."""
    names = np.asarray(split)
    masks = [names == name for name in ("train", "valid", "test")]
    features = standardised(*(vectors[mask] for mask in masks))
    return tuple(Split(part, labels[mask]) for part, mask in zip(features, masks, strict=True))  # type: ignore[return-value]


def criterion(task: str) -> Criterion:
    """Accuracy for classification, mAP for detection."""
    if task == "classification":
        return lambda truth, scores: float(accuracy(truth.argmax(axis=1), scores.argmax(axis=1)))
    return lambda truth, scores: float(mean_average_precision(truth, scores))


def linear_probe(train: Split, valid: Split, test: Split, task: str, judge_by: Criterion) -> Probe:
    """Logistic regression, C chosen on valid."""
    known = np.asarray(train.labels.any(axis=0))
    link: Link = "softmax" if task == "classification" else "sigmoid"
    if not known.any() or (link == "softmax" and known.sum() == 1):
        return _constant(train, valid, test, judge_by, {"C": DEFAULT_C})
    targets = train.labels[:, known].astype(np.float64)
    fits = regularisation_path(train.features, targets, link, C_GRID if len(valid.features) else (DEFAULT_C,))
    on_valid = {c: _spread(fit.probabilities(valid.features), known) for c, fit in fits.items()}
    scores = {c: _score(judge_by, train, valid, said) for c, said in on_valid.items()}
    defined = {c: score for c, score in scores.items() if not np.isnan(score)}
    likeliest = best_strength(defined, fits, valid.features, valid.labels[:, known].astype(np.float64)) if defined else None
    c, notes = _best(scores, DEFAULT_C, "C", edges=(C_GRID[0], C_GRID[-1]), best=likeliest)
    if not fits[c].converged:
        notes.append(f"logistic regression with C = {c:g} did not converge; its scores are those where it stopped.")
    return Probe(_spread(fits[c].probabilities(test.features), known), on_valid[c], {"C": c}, scores[c], notes)


def knn_probe(train: Split, valid: Split, test: Split, task: str, judge_by: Criterion) -> Probe:
    """Nearest neighbours by cosine distance, k chosen on valid."""
    grid = [k for k in K_GRID if k <= len(train.features)]
    default = max(k for k in grid if k <= _DEFAULT_K)
    on_valid, on_test = (_votes(train, split, grid, task) for split in (valid, test))
    scores = {k: _score(judge_by, train, valid, on_valid[k]) for k in grid}
    best, notes = _best(scores, default, "k", edges=(K_GRID[-1],))
    k = int(best)
    return Probe(on_test[k], on_valid[k], {"k": k}, scores[k], notes)


def prototype_probe(train: Split, valid: Split, test: Split, task: str, judge_by: Criterion) -> Probe:
    """The nearest class mean by cosine; how strong an opinion a cosine is, chosen on valid by likelihood."""
    from scipy.special import expit, softmax

    from callspace.adaptation.fitted import Examples
    from callspace.adaptation.prototype import fit_prototype

    known = np.asarray(train.labels.any(axis=0))
    given = (Examples(split.features, split.labels.astype(np.float32)) for split in (train, valid))
    fitted = fit_prototype(*given, task=task)

    # In NumPy, not torch, whose sums may depend on the number of cores.
    head = {name: tensor.double().numpy() for name, tensor in fitted.head.state_dict().items()}

    def probabilities(split: Split) -> Floats:
        standard = (split.features - head["mean"]) / head["scale"]
        directions = standard / np.maximum(np.linalg.norm(standard, axis=1, keepdims=True), 1e-12)
        logits = (head["temperature"] * (directions @ head["prototypes"].T) + head["bias"])[:, known]
        return _spread(softmax(logits, axis=1) if task == "classification" else expit(logits), known)

    on_valid = probabilities(valid)
    return Probe(
        probabilities(test),
        on_valid,
        fitted.choice,
        _score(judge_by, train, valid, on_valid),
        [_lower_first(note) for note in fitted.notes],
    )


#: Name -> function of (train, valid, test, task, criterion); a new probe is one line here.
PROBES: dict[str, Callable[[Split, Split, Split, str, Criterion], Probe]] = {
    "linear": linear_probe,
    "knn": knn_probe,
    "prototype": prototype_probe,
}


def _votes(train: Split, queries: Split, grid: Sequence[int], task: str) -> dict[int, Floats]:
    """For each k of `grid` the share of the k nearest train windows that have each label."""
    if not len(queries.features):
        return {k: np.zeros((0, train.labels.shape[1])) for k in grid}
    # One more than the largest k, which shows who ties for its last place.
    graph = k_nearest(train.features, min(max(grid) + 1, len(train.features)), queries=queries.features, metric="cosine")
    votes = {}
    for k in grid:
        near = neighbourhoods(train.features, k, queries=queries.features, metric="cosine", graph=graph)
        found = class_counts(near, train.labels)
        votes[k] = found.counts / k if task != "classification" else _untied(found, k)
    return votes


def _untied(found: ClassCounts, k: int) -> Floats:
    """The shares of votes; those of labels that tie for the most are moved apart, nearer voters up, their sum left as it is."""
    shares = found.counts / k
    tied = np.isclose(found.counts, found.counts.max(axis=1, keepdims=True), rtol=0, atol=1e-8)
    rows = np.flatnonzero(tied.sum(axis=1) > 1)
    if len(rows):
        distances, among = found.distances[rows], tied[rows]
        mean = (distances * among).sum(axis=1, keepdims=True) / among.sum(axis=1, keepdims=True)
        shares[rows] += np.where(among, _UNTIED * (mean - distances) / (2 * k), 0.0)
    return shares


def _score(judge_by: Criterion, train: Split, split: Split, scores: Floats) -> float:
    """NaN where no window of the split has a label that train has: every setting says the same of the others."""
    return judge_by(split.labels, scores) if split.labels[:, train.labels.any(axis=0)].any() else np.nan


def _best(scores: dict, default: float, name: str, edges: Sequence[float], best: float | None = None) -> tuple[float, list[str]]:
    """The setting with the best score, the first of equals where `best` names none; the default, and a note, where none has a score."""
    settings = [setting for setting, score in scores.items() if not np.isnan(score)]
    if not settings:
        taken = default if default in scores else next(iter(scores))
        return taken, [f"nothing to choose {name} by in the valid split: {name} = {taken:g}."]
    best = max(settings, key=scores.__getitem__) if best is None else best
    if best not in edges or len(settings) == 1:
        return best, []
    smallest = best == settings[0]
    if scores[best] in (1.0, scores[settings[1 if smallest else -2]]):
        return best, []  # nothing is better, or the scores have levelled off
    kind, beyond = ("smallest", "smaller") if smallest else ("largest", "larger")
    return best, [f"{name} = {best:g}, the {kind} tried, was best on valid: a {beyond} one may be better still."]


def _lower_first(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _spread(probabilities: Floats, known: NDArray[np.bool_]) -> Floats:
    """Probabilities of all labels from those of the labels that train has; 0 for the others."""
    everywhere = np.zeros((len(probabilities), len(known)))
    everywhere[:, known] = probabilities
    return everywhere


def _constant(train: Split, valid: Split, test: Split, judge_by: Criterion, choice: dict[str, float]) -> Probe:
    """What can be said without anything to learn: the share of train windows with each label."""
    shares = train.labels.mean(axis=0)
    on_valid, on_test = (np.tile(shares, (len(split.features), 1)) for split in (valid, test))
    note = "the train split has fewer than two classes, so the linear probe says the same of every window."
    return Probe(on_test, on_valid, choice, _score(judge_by, train, valid, on_valid), [note])
