"""Spaces and maps, the clusterings in each, and silhouettes.

Where a space has more dimensions than a clusterer reads, the clustering is one of the first principal components, and its columns say so:
``cluster:pca-30:hdbscan``, once, whichever spaces were asked for.

What a clusterer that starts at random gives from other starts is kept in columns ``reclustered:SPACE:CLUSTERER:AGAIN``: how alike they are is
the score ``stability``. k-means has two lots of starts in any case; other clusterers are run again, up to a size.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from callspace.evaluation.clusterers import CLUSTERERS, clustered
from callspace.evaluation.clustering.found import NotClusteredError
from callspace.evaluation.separation import cannot_separate
from callspace.evaluation.spaces import SEEDS, Graph, Space, principal_components, reduce
from callspace.evaluation.steps.label_rules import compare_label_rules, measure_each
from callspace.evaluation.steps.work import Work
from callspace.metrics.silhouettes import LIMIT, silhouettes
from callspace.metrics.weights import Floats

__all__ = ["measure_silhouettes", "structure"]

#: Up to how many values in a space (windows times dimensions) a clusterer is run again.
_AGAIN = 10_000_000
_SEED_STEP = 7_919  # to the other seed: a prime beyond the seeds that runs have


def structure(work: Work, space: Space, clusterers: Sequence[str]) -> None:
    """A space, its map, and its clusterings into as many clusters as there are classes in test, or as the clusterer finds."""
    places, notes = reduce(space, work.test, work.graph, work.seed)
    work.notes += notes
    if places is None:
        return
    if space.kind != "full" and places.shape[1] == 2:
        work.maps[space.name] = places
    n_classes = len(np.unique(work.codes[work.codes >= 0]))
    _measure_space(work, space, places)
    if n_classes < 2:
        return
    work.choices["clusters"] = n_classes
    for name in clusterers:
        _cluster(work, space, places, name, n_classes)


def _cluster(work: Work, space: Space, places: Floats, name: str, n_classes: int) -> None:
    at_most = CLUSTERERS[name].at_most
    where = space.name
    if at_most is not None and places.shape[1] > at_most:
        where, places = f"pca-{at_most}", principal_components(places, at_most)
    if f"{where}:{name}" in work.clusterings:
        return
    kept = work.codes >= 0
    graph = _among(work.graph, kept) if where == "full" else None
    work.places[where] = places
    try:
        found = clustered(name, places[kept], n_classes, work.seed, graph)
    except NotClusteredError as error:
        work.notes.append(f"{name} in {where} is missing: {error}")
        return
    work.notes += [f"{name} in {where}: {note}" for note in found.notes]
    work.clusterings[f"{where}:{name}"] = _everywhere(found.clusters, kept)
    _add(work, f"cluster:{where}:{name}", found.clusters, kept)
    again = found.again
    if again is None and CLUSTERERS[name].seeded and found.clusters.any():
        if places.size > _AGAIN:
            work.notes.append(f"{name} in {where}: its stability over seeds is not measured, above {_AGAIN:,} values.")
            return
        try:
            again = clustered(name, places[kept], n_classes, (work.seed + _SEED_STEP) % SEEDS, graph).clusters
        except NotClusteredError as error:
            work.notes.append(f"{name} in {where}: its stability over seeds is not measured: {error}")
            return
    if again is not None:
        _add(work, f"reclustered:{where}:{name}:1", again, kept)


def _among(graph: Graph, kept: NDArray[np.bool_]) -> Graph | None:
    """The neighbour graph of some of the windows, as far as a graph of all tells it; None where that is less than one neighbour each."""
    if kept.all():
        return graph
    there = kept[graph.indices[kept]]
    k = int(there.sum(axis=1).min(initial=graph.indices.shape[1]))
    if k < 1:
        return None
    first = there & (np.cumsum(there, axis=1) <= k)
    position = np.cumsum(kept) - 1
    return Graph(position[graph.indices[kept][first]].reshape(-1, k), graph.distances[kept][first].reshape(-1, k))


def _everywhere(found: NDArray[np.int32], kept: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Clusters of the windows kept as clusters of all, -1 for the others."""
    clusters = np.full(len(kept), -1, dtype=np.int32)
    clusters[kept] = found
    return clusters


def _add(work: Work, column: str, found: NDArray[np.int32], kept: NDArray[np.bool_]) -> None:
    work.add(column, pa.array(_everywhere(found, kept), pa.int32(), mask=~kept))


def _measure_space(work: Work, space: Space, places: Floats) -> None:
    if space.kind != "full":
        work.add(f"silhouette_labels:{space.name}", silhouettes(places, [work.codes], seed=work.seed)[0])
    measure_each(work, space.name, places)


def measure_silhouettes(work: Work) -> None:
    """All silhouettes in the full space, from one pass over the distances, and what the label rule makes of it all."""
    labellings: dict[str, NDArray] = {"silhouette_labels:full": work.codes}
    for name, found in work.clusterings.items():
        # Noise is no cluster: its windows have no silhouette.
        noise = CLUSTERERS[name.rpartition(":")[2]].noise
        labellings[f"silhouette_clusters:full:{name}"] = np.where(found == 0, -1, found) if noise else found
    if work.task == "detection" and not cannot_separate(work.labelled, "test"):
        labellings["silhouette_background:full"] = work.labelled.astype(np.int32)
    for name, values in zip(labellings, silhouettes(work.test, list(labellings.values()), seed=work.seed), strict=True):
        work.add(name, values)
    if len(work.test) > LIMIT:
        work.notes.append(f"Silhouettes are measured on a random sample of {LIMIT} of the {len(work.test)} test windows.")
    compare_label_rules(work)
