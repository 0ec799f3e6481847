"""Invariance: does the embedding of a call stay where it is when something changes that says nothing about the animal?

A sample of the test windows is embedded as it is and changed: quieter and louder, with white noise under it, shifted in time, with
the zeros that batching adds, and in a window twice as long. How far that moves an embedding is told in the only unit that matters, the
distances between windows: of one class, and of different ones; and by whether the label of its nearest neighbour among the test
windows of other recordings and groups, or of the nearest class centre of the train split, becomes another. (A window's neighbours in its own
recording share its background, and its sound where windows overlap.) Background is a class like any other, and may be the neighbour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from callspace.evaluation.diagnosis.changed_windows import CHANGES, LONGER, PADDED, embedded, that_go_on
from callspace.evaluation.diagnosis.finding import Finding
from callspace.evaluation.labels import single_labels
from callspace.metrics.bootstrap import MIN_GROUPS, group_weights
from callspace.metrics.intervals import score_interval
from callspace.progress import SILENT, Progress

if TYPE_CHECKING:
    from callspace.datasets import Dataset
    from callspace.encoders.contract import Encoder

__all__ = ["CHANGES", "LIMITS", "SAMPLE", "invariance"]

_CHECK = "invariance"
#: Test windows that are changed.
SAMPLE = 64
#: Windows that neighbours are looked for among, and centres are made of.
_REFERENCE = 4_000
#: By contract the zeros that batching adds change nothing; the conformance suite asks for 1e-4 of the largest value.
_SAME = 1e-3
#: A stored embedding that is further than this from one made again is of another sound or another encoder.
_REPRODUCED = 2e-2
_REPLICATES = 1000

#: The share that a look begins from, of all that is judged. A longer window holds what sounds before and after it, as noise is other sound.
LIMITS = {name: limit for name, (_, limit) in CHANGES.items()} | {LONGER: 0.25}
_REMEDIES = {
    "gain": "Bring all recordings to one level before embedding, or choose an encoder whose front end standardises each clip; tuning with augmentation (--augment) teaches it too.",
    "noise": "Tune with background mixed under the calls (--augment), or choose an encoder that moves less: this one will miss faint calls.",
    "shift": "Centre the windows on the calls (--windows events), let windows overlap more (--hop), or tune with augmentation (--augment).",
    "window": "Keep to one length of windows in training, test and use: embeddings of windows of other lengths do not compare.",
    PADDED: "The encoder breaks its contract: run `callspace models check NAME`, embed windows of one length only, and report it.",
}


def invariance(
    dataset: Dataset,
    encoder: Encoder,
    vectors: np.ndarray,
    *,
    subject: Mapping[str, Any] | None = None,
    seed: int = 0,
    sample: int = SAMPLE,
    device: str | None = None,
    progress: Progress = SILENT,
) -> Finding:
    """How far an encoder's embeddings move.

    Parameters
    ----------
    dataset : Dataset
        Its recordings must be there.
    encoder : Encoder
        Read at the layer that made `vectors`.
    vectors : float32[n, d]
        The embeddings of all windows, in the order of ``dataset.windows``.
    subject : mapping, optional
        What is said of the encoder.
    seed : int
        Of the sample and of the noise.
    sample : int
        How many of the labelled test windows are changed, at most.
    device : str, optional

    Returns
    -------
    Finding
        Its evidence has for each change ``movement`` (the median distance moved over the median distance of two windows of one class),
        ``of_classes`` (over that of two windows of different classes), ``label_changed`` (the share of windows whose nearest
        neighbour's label becomes another: what the verdict follows, by `LIMITS`), ``lost`` (how much smaller the share whose nearest neighbour has their own label becomes, from
        ``right`` before to the change's ``right``) and ``centre_changed``, each with a 95 % bootstrap interval over groups. The longer window
        has ``windows`` and ``groups`` of its own, and is missing where the recordings of too few groups go on.
    """
    subject = dict(subject or {})
    labels = np.array(single_labels(dataset.windows["labels"].to_pylist(), dataset.labels, dataset.task), dtype=object)
    chosen = _sample(dataset, sample, np.random.default_rng([seed, 0x1A7]))
    if len(chosen) < 2 or len({labels[row] for row in dataset.rows("test") if labels[row] is not None}) < 2:
        return _unmeasured(subject, "The test split has windows of fewer than two classes: there are no labels that could change.")
    place = _places(dataset)
    chosen = [row for row in chosen if any(_apart(place[row], place[other]) for other in chosen)]
    if len(chosen) < 2:
        said = "All labelled windows of the test split are of one recording or group: there are no others that they could be compared with."
        return _unmeasured(subject, said, "Add test recordings of more groups.")
    widened = that_go_on(dataset, chosen)
    moved = embedded(dataset, encoder, chosen, widened, seed, device, progress)
    plain = moved.pop("")
    if not all(np.isfinite(own).all() for own in (plain, *moved.values())):
        return _unmeasured(subject, "The encoder gave embeddings that are not finite for some of the changed windows.")
    stored = np.asarray(vectors, dtype=np.float64)
    off = float(np.median(np.linalg.norm(plain - stored[chosen], axis=1)) / max(np.median(np.linalg.norm(stored[chosen], axis=1)), 1e-12))
    if off > _REPRODUCED:
        return _unmeasured(
            subject,
            f"Embedding the sample again gives something else than the run keeps (by {100 * off:.0f} %): the recordings or the encoder have changed since.",
            "Run the same bench again into a new folder.",
            {"reproduced_within": off},
        )
    reference = _Reference(dataset, stored, labels, chosen, plain, place, np.random.default_rng([seed, 0x2EF]))
    groups = [place[row][0] for row in chosen]
    n_groups = len(set(groups))
    weights = group_weights(groups, _REPLICATES, seed) if n_groups >= MIN_GROUPS else None
    whole = np.arange(len(chosen))
    changes = {name: reference.change(own, whole, weights, n_groups) for name, own in moved.items() if name != LONGER}
    of_widened = [groups[at] for at in widened]
    if (n_widened := len(set(of_widened))) >= MIN_GROUPS:
        own_weights = group_weights(of_widened, _REPLICATES, seed)
        changes[LONGER] = reference.change(moved[LONGER], np.array(widened), own_weights, n_widened)
        changes[LONGER] |= {"windows": len(widened), "groups": n_widened}
    padding = float(np.max(np.abs(moved[PADDED] - plain).max(axis=1) / np.maximum(np.abs(plain).max(axis=1), 1e-12)))
    evidence = {
        "windows": len(chosen),
        "groups": n_groups,
        "widened": len(widened),
        "within_class": reference.within,
        "between_classes": reference.between,
        "right": float(reference.right.mean()),
        "right_ci": _ends(reference.right, weights, n_groups),
        "right_by_chance": reference.by_chance,
        "padding_error": padding,
        "changes": changes,
    }
    return _judged(subject, evidence)


def _judged(subject: dict[str, Any], evidence: dict[str, Any]) -> Finding:
    changes, padding = evidence["changes"], evidence["padding_error"]
    if padding > _SAME:
        sentence = (
            f"The zeros that batching adds change an embedding by up to {100 * padding:.1f} % of its largest value: what a window's embedding is "
            "depends on the other windows of its batch."
        )
        return Finding(_CHECK, subject, "problem", sentence, evidence, _REMEDIES[PADDED])
    if evidence["groups"] < MIN_GROUPS:
        sentence = "The sample comes of too few groups to tell chance from weakness."
        return Finding(_CHECK, subject, "unmeasured", sentence, evidence, "Add test recordings of more groups.")
    judged = {name: changes[name] for name in LIMITS if name in changes}
    # Of windows that were not all widened, too few say nothing: no reason not to judge the other changes.
    aside = LONGER not in judged or (evidence["widened"] < evidence["windows"] and _is_open(LONGER, judged[LONGER]))
    if aside:
        judged.pop(LONGER, None)
    but = _not_widened(evidence) if aside else ""
    beyond = {name: own for name, own in judged.items() if own["label_changed_ci"] and own["label_changed_ci"][0] > LIMITS[name]}
    if beyond:
        return _moved(subject, evidence, beyond, but)
    open_ = [name for name, own in judged.items() if _is_open(name, own)]
    if open_:
        sentence = f"The sample is too small to say whether the embedding holds still under {', '.join(open_)}.{but}"
        return Finding(_CHECK, subject, "unmeasured", sentence, evidence, "Add test recordings of more groups.")
    most = max(judged, key=lambda name: judged[name]["label_changed"])
    sentence = f"The embedding holds still under what says nothing of the animal: at most, {_words(most, judged[most])}.{but}"
    return Finding(_CHECK, subject, "fine", sentence, evidence)


def _is_open(name: str, own: Mapping[str, Any]) -> bool:
    """Whether the share of changed labels may lie on either side of its limit."""
    ends = own["label_changed_ci"]
    return not ends or ends[0] <= LIMITS[name] <= ends[1]


def _not_widened(evidence: Mapping[str, Any]) -> str:
    few = f"only {evidence['widened']}" if evidence["widened"] else "none"
    return f" Of a {LONGER} nothing is said: {few} of the {evidence['windows']} windows could be widened within their recordings."


def _moved(subject: dict[str, Any], evidence: dict[str, Any], beyond: Mapping[str, Mapping[str, Any]], but: str) -> Finding:
    """Where surely more labels change than may: what moves the embedding, and whether that costs anything."""
    kinds = list(dict.fromkeys(name.split(" ")[0] for name in beyond))
    after = ", ".join(f"{name} ({_share(own['label_changed'], own['label_changed_ci'])})" for name, own in beyond.items())
    sentence = (
        "The embedding depends on what says nothing of the animal: the nearest neighbour of so many windows is of another label after "
        f"{after}"
    )
    costly = {name: own for name, own in beyond.items() if own["lost_ci"] is not None and own["lost_ci"][0] > 0}
    right, by_chance = evidence["right"], evidence["right_by_chance"]
    if costly:
        worst = max(costly, key=lambda name: costly[name]["lost"])
        after = costly[worst]["right"]
        sentence += (
            f"; and it costs: with {worst}, {100 * after:.0f} % of the windows have a neighbour of their own label, and "
            f"{100 * (after + costly[worst]['lost']):.0f} % without."
        )
    elif evidence["right_ci"] is None or evidence["right_ci"][0] <= by_chance:
        sentence += (
            f"; the windows are too few to tell whether there was anything to lose: a neighbour of their own label have "
            f"{100 * right:.0f} %{_between(evidence['right_ci'])} of them, and by chance {100 * by_chance:.0f} % would."
        )
    else:
        sentence += "; whether that costs accuracy does not show in this sample."
    return Finding(_CHECK, subject, "look", sentence + but, evidence, " ".join(_REMEDIES[kind] for kind in kinds))


def _between(ends: Sequence[float] | None) -> str:
    return f" ({100 * ends[0]:.0f} to {100 * ends[1]:.0f} %)" if ends else ""


def _share(share: float, ends: Sequence[float] | None) -> str:
    return f"{100 * share:.0f} %" + (f", {100 * ends[0]:.0f} to {100 * ends[1]:.0f} %" if ends else "")


def _words(name: str, own: Mapping[str, Any]) -> str:
    return f"with {name} the nearest neighbour of {100 * own['label_changed']:.0f} % of the windows is of another label than before"


def _unmeasured(subject: dict[str, Any], sentence: str, remedy: str = "", evidence: dict[str, Any] | None = None) -> Finding:
    return Finding(_CHECK, subject, "unmeasured", sentence, evidence or {}, remedy)


def _sample(dataset: Dataset, most: int, rng: np.random.Generator) -> list[int]:
    """Labelled test windows, from as many groups and as evenly as can be: one of each group in turn."""
    labels = dataset.windows["labels"].to_pylist()
    rows = [row for row in dataset.rows("test") if labels[row]]
    held: dict[str, list[int]] = {}
    place = _places(dataset)
    for row in rng.permutation(rows).tolist() if rows else []:
        held.setdefault(place[row][0], []).append(row)
    turns = [own[turn] for turn in range(max(map(len, held.values()), default=0)) for own in held.values() if turn < len(own)]
    return sorted(turns[:most])


def _places(dataset: Dataset) -> list[tuple[str, str]]:
    """Group (the recording where there is none) and recording of each window."""
    pairs = zip(dataset.windows["group"].to_pylist(), dataset.windows["recording"].to_pylist(), strict=True)
    return [(recording if group is None else group, recording) for group, recording in pairs]


def _apart(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two windows are of different groups and of different recordings."""
    return one[0] != other[0] and one[1] != other[1]


class _Reference:
    """What the sample is compared with: the test windows of other recordings and groups, and the centres of the classes of train."""

    def __init__(
        self,
        dataset: Dataset,
        stored: np.ndarray,
        labels: np.ndarray,
        chosen: list[int],
        plain: np.ndarray,
        place: Sequence[tuple[str, str]],
        rng: np.random.Generator,
    ) -> None:
        test = np.array([row for row in dataset.rows("test") if labels[row] is not None])
        if len(test) > _REFERENCE:
            test = np.union1d(np.sort(rng.choice(test, _REFERENCE, replace=False)), chosen)
        self.around, self.around_labels = stored[test], labels[test]
        self.apart = apart = np.array([[_apart(place[row], place[other]) for other in test] for row in chosen])
        self.labels = labels[chosen]
        names = sorted({label for label in labels[dataset.rows("train")] if label is not None})
        train = np.array(dataset.rows("train"), dtype=np.int64)
        self.centres = np.array([stored[train[labels[train] == name]].mean(axis=0) for name in names]) if names else None
        self.plain = plain
        distances = _distances(plain, self.around)
        alike = self.labels[:, None] == self.around_labels[None, :]
        self.by_chance = float(((alike & apart).sum(axis=1) / apart.sum(axis=1)).mean())
        self.within = _median(distances[alike & apart])
        self.between = _median(distances[~alike & apart])
        self.nearest = self._nearest(plain, np.arange(len(chosen)))
        self.right = self.nearest == self.labels
        self.centre = None if self.centres is None else _distances(plain, self.centres).argmin(axis=1)

    def _nearest(self, vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The label of the nearest test window of another recording and group; `vectors` are of these rows of the sample."""
        distances = np.where(self.apart[rows], _distances(vectors, self.around), np.inf)
        return self.around_labels[distances.argmin(axis=1)]  # type: ignore[no-any-return]

    def change(self, vectors: np.ndarray, rows: np.ndarray, weights: np.ndarray | None, n_groups: int) -> dict[str, Any]:
        """How far, and how many labels; `vectors` are of these rows of the sample."""
        far = float(np.median(np.linalg.norm(vectors - self.plain[rows], axis=1)))
        nearest = self._nearest(vectors, rows)
        right = nearest == self.labels[rows]
        changed: dict[str, np.ndarray] = {"label_changed": nearest != self.nearest[rows], "lost": self.right[rows].astype(float) - right}
        if self.centres is not None and self.centre is not None:
            changed["centre_changed"] = _distances(vectors, self.centres).argmin(axis=1) != self.centre[rows]
        shares: dict[str, Any] = {}
        for name, own in changed.items():
            shares[name] = float(own.mean())
            shares[f"{name}_ci"] = _ends(own, weights, n_groups, lowest=-1.0 if name == "lost" else 0.0)
        return {
            "movement": None if not self.within else far / self.within,
            "of_classes": None if not self.between else far / self.between,
            "right": float(right.mean()),
            **shares,
        }


def _ends(own: np.ndarray, weights: np.ndarray | None, n_groups: int, *, lowest: float = 0.0) -> list[float] | None:
    """The 95 % interval of the mean of what is said of each window, over groups; None without weights."""
    if weights is None:
        return None
    replicates = weights @ own.astype(np.float64) / np.maximum(weights.sum(axis=1), 1)
    found = score_interval(float(own.mean()), replicates, n_groups, lowest=lowest)
    return None if found is None else [float(found.low), float(found.high)]


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[len(a), len(b)], Euclidean."""
    from scipy.spatial.distance import cdist

    return cdist(a, b)  # type: ignore[no-any-return]
