"""The neighbour graph of the test windows, and what neighbours say of labels and background."""

from collections.abc import Sequence

from callspace.evaluation.separation import background_neighbours, cannot_separate
from callspace.evaluation.spaces import Space, neighbour_graph
from callspace.evaluation.steps.work import NEIGHBOURS, Work
from callspace.metrics.neighbours import label_purity, neighbourhoods

__all__ = ["look_around"]


def look_around(work: Work, spaces: Sequence[Space], neighbours_from: str) -> None:
    """The neighbour graph, and what neighbours say of labels and background."""
    work.graph = neighbour_graph(work.test, spaces, NEIGHBOURS + 1)  # the last shows who ties for the last place
    k = min(NEIGHBOURS, len(work.test) - 1)
    if k < 1:
        work.notes.append("Neighbours are not looked at: there is one test window only.")
        return
    if k < NEIGHBOURS:
        work.notes.append(f"Purity and background neighbours look at {k} neighbours: there are {len(work.test)} test windows.")
    if neighbours_from == "other-groups":
        work.apart = work.table.column("group").to_pylist()
    known = None if work.apart else (work.graph.indices, work.graph.distances)
    work.near = neighbourhoods(work.test, k, groups=work.apart, graph=known)
    work.add("purity", label_purity(work.near, work.codes))
    if work.task == "detection" and not cannot_separate(work.labelled, "test"):
        work.add("background_neighbours", background_neighbours(work.near, work.labelled))
