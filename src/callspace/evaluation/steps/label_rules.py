"""What the rule for windows of several labels does: the columns of the rule ``each``, and a sentence on how the rules differ.

Columns of ``each``, list<double>, one value for each label of a window in the order of the vocabulary (one, for background, where it has
none): ``silhouette_each:SPACE`` and ``purity_each``; and ``shares_each``, the share of the window's neighbours that have each class of the
vocabulary (and background, last).
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from callspace.evaluation.clusterers import clustered
from callspace.evaluation.clustering.found import NotClusteredError
from callspace.evaluation.labels import membership, several
from callspace.evaluation.predictions import label_rule_of, list_column
from callspace.evaluation.steps.work import Work
from callspace.metrics.clustering import nmi
from callspace.metrics.one_against_rest import nmi_each, purities_each, shares_each, silhouettes_each
from callspace.metrics.weights import Floats, mean_defined

__all__ = ["MANY", "compare_label_rules", "measure_each"]

#: From this share of labelled windows with several labels on, the effect of the rule is told.
MANY = 0.05


def measure_each(work: Work, space: str, places: Floats) -> None:
    """Under the rule ``each``: silhouettes in a space of every class against its rest, and, with the full space, what neighbours say."""
    if label_rule_of(work.table) != "each":
        return
    member = _member(work)
    kept = np.asarray(member.any(axis=1))
    if not kept.any():
        return
    values = np.full(member.shape, np.nan)
    values[kept] = silhouettes_each(places[kept], member[kept], seed=work.seed)
    work.add(f"silhouette_each:{space}", _ragged(values, member))
    if "shares_each" in work.table.column_names or work.near is None:
        return
    shares = shares_each(work.near, member, kept)
    purities = np.full(member.shape, np.nan)
    groups = None if work.apart is None else np.asarray(work.apart, dtype=str)[kept].tolist()
    purities[kept] = purities_each(shares[kept], member[kept], groups)
    work.add("purity_each", _ragged(purities, member))
    work.add("shares_each", list_column(shares))


def _member(work: Work) -> NDArray[np.bool_]:
    return membership(work.matrix[np.array(work.split) == "test"], work.task)


def _ragged(values: Floats, member: NDArray[np.bool_]) -> pa.Array:
    """The values at `member`, row by row, as lists; null for NaN."""
    kept = values[member]
    offsets = np.concatenate([[0], np.cumsum(member.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(kept, pa.float64(), mask=np.isnan(kept)))


def compare_label_rules(work: Work) -> None:
    """Where many windows have several labels, what each rule makes of a clustering, in a sentence.

    A clustering of all windows serves all rules. Under ``drop`` there is none: one is made, and ``drop`` keeps its own.
    """
    matrix = work.matrix[np.array(work.split) == "test"]
    share = several(matrix)
    if share < MANY or not work.clusterings:
        return
    rule = label_rule_of(work.table)
    name = "full:kmeans" if "full:kmeans" in work.clusterings else next(iter(work.clusterings))
    space, _, clusterer = name.rpartition(":")
    of_run = work.clusterings[name]
    of_all = of_run if rule != "drop" else _clustered_with_several(work, matrix, space, clusterer)
    single = (of_run >= 0) & (matrix.sum(axis=1) <= 1)
    parts = {}
    if of_all is not None:
        kept = of_all >= 0
        member = membership(matrix, work.task)
        parts["first"] = f"{nmi(member.argmax(axis=1)[kept], of_all[kept]):.2f} by 'first'"
        parts["each"] = f"{mean_defined(nmi_each(member[kept], of_all[kept])):.2f} by 'each' (one label against the rest)"
    if single.any():
        parts["drop"] = f"{nmi(work.codes[single], of_run[single]):.2f} by 'drop' ({int((~single).sum())} windows left out)"
    told = f"{100 * share:.0f} % of the labelled test windows have several labels; the rule is {rule!r}. NMI of {clusterer} in {space}: "
    told += ", ".join(parts[each] for each in ("first", "drop", "each") if each in parts)
    if rule == "drop" and of_all is not None:
        told += "; 'first' and 'each' are of a clustering of all windows"
    work.notes.append(told + ".")


def _clustered_with_several(work: Work, matrix: NDArray[np.bool_], space: str, clusterer: str) -> NDArray[np.int32] | None:
    """A clustering of all test windows, those of several labels too, into as many clusters as classes by the rule ``first``; None for none."""
    codes = membership(matrix, work.task).argmax(axis=1)
    try:
        return clustered(clusterer, work.places[space], len(np.unique(codes)), work.seed).clusters
    except NotClusteredError:
        return None
