"""Scores of use: what heads and probes say of the labels.

All are of the full space; a reader is a head or a probe. Of classification: ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``micro_f1``
(equal to the accuracy, one class a window), ``top5_accuracy`` (of more than five classes), ``map``, ``map_beans``, ``macro_auroc``, and a
class ``average_precision`` and ``recall``. Of detection: ``map``, ``map_beans``, ``macro_auroc``, a class ``average_precision``; and
``macro_f1`` and ``micro_f1`` of readers with a column ``decisions:READER``, which holds thresholds chosen on valid. Of readers whose scores
are probabilities: ``calibration_error`` (of the most probable class in classification; the mean over labels in detection) and ``brier``:
the lower the better, both from 0 to 1.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.evaluation.scoring.unpacked import Compute, Family, Key, Predictions, part
from callspace.metrics import calibration, classification, multilabel, ranking
from callspace.metrics.weights import Floats, Value

__all__ = ["LOWER_IS_BETTER", "LOWEST", "RECENTRED", "TOP", "families", "without_calibration", "without_contrast", "without_top"]

#: Metrics that can be negative, and how far: none.
LOWEST: dict[str, float] = {}
#: Metrics whose replicates are biased upward (`callspace.metrics.calibration` says why).
RECENTRED = frozenset({"calibration_error"})
#: Metrics that are 0 at best.
LOWER_IS_BETTER = frozenset({"calibration_error", "brier"})
#: How many classes the most probable may be among.
TOP = 5

#: From the truth bool[n, K], a reader's scores or decisions [n, K] and weights to a score.
_Measure = Callable[[NDArray[np.bool_], NDArray, NDArray], Value]


def without_top(n_classes: int) -> str | None:
    """A sentence where there are too few classes for a top-5 accuracy to mean anything, else None."""
    if n_classes > TOP:
        return None
    return f"There is no top-{TOP} accuracy: it needs more than {TOP} classes, and there are {n_classes}."


def without_contrast(truth: NDArray[np.bool_]) -> str | None:
    """A sentence where the labels of the test windows that count, bool[n, K], leave a reader's scores or its AUROC undefined, else None."""
    if not truth.any():
        return "Probes and heads are not scored: no test window has a label."
    if not (truth.any(axis=0) & ~truth.all(axis=0)).any():
        return "Probes and heads have no AUROC of labels: every label is that of all test windows, or of none."
    return None


def without_calibration(task: str, reader: str, scores: ArrayLike) -> str | None:
    """A sentence where a reader's scores, float[n, K], are no probabilities, else None."""
    if calibration.are_class_probabilities(scores) if task == "classification" else calibration.are_label_probabilities(scores):
        return None
    wanted = "from 0 to 1 and add up to 1 in each window" if task == "classification" else "from 0 to 1"
    return f"{reader}: there is no calibration error and no Brier score, since its scores are no probabilities ({wanted})."


def families(of: Predictions) -> Iterator[Family]:
    """One family a head or probe."""
    # In classification a window without a label can't be right or wrong; in detection it is a negative of every class.
    kept = np.asarray(of.labelled if of.task == "classification" else np.ones(len(of.matrix), dtype=bool))
    if not of.labelled.any():
        return
    each = ("average_precision", "recall") if of.task == "classification" else ("average_precision",)
    positives = of.matrix.sum(axis=0)
    for column, reader in of.columns("scores"):
        scores = of.score_matrix(column)[kept]
        overall = _of_classes(scores) if of.task == "classification" else _of_labels(of, reader, scores)
        sizes = {Key("full", reader, None, metric): int(kept.sum()) for metric in ("map", "map_beans", "macro_auroc", *overall)}
        sizes |= {Key("full", reader, name, metric): int(n) for name, n in zip(of.labels, positives, strict=True) if n for metric in each}
        own = {Key("full", reader, name, "recall"): kept & of.matrix[:, at] for at, name in enumerate(of.labels)}
        yield Family(sizes, _reading(of, reader, scores, kept, overall), kept, own)


def _of_classes(scores: Floats) -> dict[str, _Measure]:
    """The scores of a classification beside those of rankings."""
    guesses = scores.argmax(axis=1) if scores.shape[1] else np.zeros(len(scores), dtype=np.intp)
    found: dict[str, _Measure] = {
        "accuracy": lambda truth, _, weights: classification.accuracy(truth.argmax(axis=1), guesses, weights),
        "balanced_accuracy": lambda truth, _, weights: classification.balanced_accuracy(truth.argmax(axis=1), guesses, weights),
        "macro_f1": lambda truth, _, weights: classification.macro_f1(truth.argmax(axis=1), guesses, weights),
        "micro_f1": lambda truth, _, weights: classification.accuracy(truth.argmax(axis=1), guesses, weights),
    }
    if scores.shape[1] > TOP:
        found["top5_accuracy"] = lambda truth, given, weights: classification.top_k_accuracy(truth.argmax(axis=1), given, TOP, weights)
    if calibration.are_class_probabilities(scores):
        found |= {"calibration_error": calibration.top_label_calibration_error, "brier": calibration.brier_of_classes}
    return found


def _of_labels(of: Predictions, reader: str, scores: Floats) -> dict[str, _Measure]:
    """The scores of a detection beside those of rankings."""
    found: dict[str, _Measure] = {}
    if f"decisions:{reader}" in of.table.column_names:
        decided = of.score_matrix(f"decisions:{reader}") > 0
        found["macro_f1"] = lambda truth, _, weights: multilabel.macro_f1_of_labels(truth, decided, weights)
        found["micro_f1"] = lambda truth, _, weights: multilabel.micro_f1(truth, decided, weights)
    if calibration.are_label_probabilities(scores):
        found |= {"calibration_error": calibration.marginal_calibration_error, "brier": calibration.brier_of_labels}
    return found


def _reading(of: Predictions, reader: str, scores: Floats, kept: NDArray[np.bool_], overall: dict[str, _Measure]) -> Compute:
    truth = of.matrix[kept]

    def compute(weights: NDArray | None) -> dict[Key, Value]:
        own = part(weights, kept)
        precisions, areas = ranking.average_precisions_and_aurocs(truth, scores, own)
        results: dict[Key, Value] = {
            Key("full", reader, None, "map"): ranking.over_present(precisions),
            Key("full", reader, None, "map_beans"): ranking.over_all(precisions),
            Key("full", reader, None, "macro_auroc"): ranking.over_present(areas),
        }
        results |= {Key("full", reader, None, metric): measure(truth, scores, own) for metric, measure in overall.items()}
        each = {"average_precision": precisions}
        if of.task == "classification":
            each["recall"] = classification.recalls(truth.argmax(axis=1), scores.argmax(axis=1), len(of.labels), own)
        return results | {
            Key("full", reader, name, metric): values[..., at] for metric, values in each.items() for at, name in enumerate(of.labels)
        }

    return compute
