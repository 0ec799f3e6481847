"""The spaces an embedding is judged in, each with a name that says all there is to say.

- ``full``: the embedding as it is.
- ``pca-N``: its first N principal components.
- ``umap-K-D``: a 2-D UMAP of K neighbours (the window counted) and min_dist D (L. McInnes, J. Healy, J. Melville, 2018), 500 epochs
  up to 10,000 windows and 200 above, as umap-learn.
- ``tsne-P``: a 2-D t-SNE of perplexity P (L. van der Maaten and G. Hinton, 2008), by openTSNE with its defaults; Barnes-Hut up to
  3,000 windows and interpolation (FIt-SNE) above, where it is faster.

All read one exact Euclidean neighbour graph. Both maps start from the first two principal components, which keeps the large
structure (D. Kobak and G. Linderman, Nature Biotechnology 39, 2021) and needs no random start. The same vectors and seed give the
same map, byte for byte: nothing here runs in threads, given BLAS limited to one (`callspace.evaluation.judge` does that).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from callspace.errors import CallspaceError
from callspace.evaluation.fuzzy_graph import fuzzy_graph
from callspace.metrics.distances import validate_vectors
from callspace.metrics.neighbours import k_nearest
from callspace.metrics.weights import Floats

__all__ = ["MIN_WINDOWS", "Graph", "Space", "neighbour_graph", "parse_space", "principal_components", "reduce"]

#: Fewer windows make no map.
MIN_WINDOWS = 5

_BARNES_HUT_LIMIT = 3_000
_FORMS = "full, pca-N, umap-NEIGHBOURS-MIN_DIST or tsne-PERPLEXITY"


@dataclass(frozen=True)
class Space:
    """A parsed name: the kind of space and its numbers."""

    name: str
    kind: str
    numbers: tuple[float, ...]

    @property
    def neighbours(self) -> int:
        """How many neighbours, without the window itself, the space reads."""
        if self.kind == "umap":
            return int(self.numbers[0]) - 1
        return int(3 * self.numbers[0]) if self.kind == "tsne" else 0


@dataclass(frozen=True)
class Graph:
    """The k nearest of each window, nearest first, without itself."""

    indices: NDArray[np.int64]
    distances: Floats

    def first(self, k: int) -> "Graph":
        return Graph(np.ascontiguousarray(self.indices[:, :k]), np.ascontiguousarray(self.distances[:, :k]))


def parse_space(name: str) -> Space:
    """A space from its name.

    Raises
    ------
    CallspaceError
        For a name that is none.
    """
    kind, *parts = str(name).split("-")
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        numbers = ()
        kind = "?"
    fits = {
        "full": numbers == (),
        "pca": len(numbers) == 1 and numbers[0] >= 1 and numbers[0] == int(numbers[0]),
        "umap": len(numbers) == 2 and numbers[0] >= 2 and numbers[0] == int(numbers[0]) and 0 <= numbers[1] <= 1,
        "tsne": len(numbers) == 1 and 1 <= numbers[0] < np.inf,
    }
    if not fits.get(kind, False):
        raise CallspaceError(f"unknown space {name!r}: write {_FORMS} (such as pca-50, umap-50-0.5, tsne-30)")
    return Space(str(name), kind, numbers)


def neighbour_graph(vectors: ArrayLike, spaces: Sequence[Space], at_least: int = 0) -> Graph:
    """The exact Euclidean neighbour graph that all `spaces` need, of at least `at_least` neighbours, fewer where there are fewer."""
    points = validate_vectors(vectors)
    k = min(max([at_least, *(space.neighbours for space in spaces)]), len(points) - 1)
    if k < 1:
        return Graph(np.zeros((len(points), 0), dtype=np.int64), np.zeros((len(points), 0)))
    return Graph(*k_nearest(points, k))


def reduce(space: Space, vectors: ArrayLike, graph: Graph, seed: int = 0) -> tuple[Floats | None, list[str]]:
    """The windows' places in a space.

    Parameters
    ----------
    space
        From `parse_space`.
    vectors
        float[n, d].
    graph
        From `neighbour_graph`, of at least the neighbours the space needs, or all there are.
    seed
        Of UMAP and t-SNE.

    Returns
    -------
    float64[n, dimensions], or None where there is nothing to map, and what is to be said of it.
    """
    points = validate_vectors(vectors)
    if space.kind == "full":
        return points, []
    if len(points) < MIN_WINDOWS:
        return None, [f"{space.name}: {len(points)} windows make no map (at least {MIN_WINDOWS} do)."]
    if (points == points[0]).all():
        return None, [f"{space.name}: all windows have the same embedding, which makes no map."]
    return _REDUCTIONS[space.kind](space, points, graph, seed)


def principal_components(points: Floats, n_components: int) -> Floats:
    """The first principal components, float64[n, n_components], the largest loading of each positive; zeros where there are no more."""
    centred = points - points.mean(axis=0)
    if centred.shape[1] <= len(centred):
        values, vectors = np.linalg.eigh(centred.T @ centred)
        loadings = vectors[:, ::-1][:, :n_components]
        kept = values[::-1][:n_components]
    else:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        kept = values[::-1][:n_components]
        scale = np.sqrt(np.maximum(kept, 0))
        loadings = centred.T @ np.divide(
            vectors[:, ::-1][:, :n_components], scale, out=np.zeros((len(centred), len(kept))), where=scale > 0
        )
    loadings = loadings * np.where(loadings[np.abs(loadings).argmax(axis=0), np.arange(loadings.shape[1])] < 0, -1.0, 1.0)
    # Directions without variance are rounding: they are none.
    loadings[:, kept <= 1e-12 * max(kept[0], 0.0)] = 0.0
    components = np.zeros((len(points), n_components))
    components[:, : loadings.shape[1]] = centred @ loadings
    return components


def _pca(space: Space, points: Floats, graph: Graph, seed: int) -> tuple[Floats, list[str]]:
    wanted = int(space.numbers[0])
    n_components = min(wanted, *points.shape)
    notes = [] if n_components == wanted else [f"{space.name}: {n_components} components, all that there are."]
    return principal_components(points, n_components), notes


def _start(points: Floats, largest: float, noise: float, seed: int) -> Floats:
    """The first two components scaled to `largest`, and moved a little so that no two windows start at one place."""
    places = principal_components(points, 2)
    places *= largest / np.abs(places).max()
    return places + np.random.default_rng(seed).normal(scale=noise, size=places.shape)


def _umap(space: Space, points: Floats, graph: Graph, seed: int) -> tuple[Floats, list[str]]:
    wanted, min_dist = int(space.numbers[0]), space.numbers[1]
    k = min(wanted, len(points) - 1)
    notes = [] if k == wanted else [f"{space.name}: {k} neighbours, since there are {len(points)} windows."]
    weighted = fuzzy_graph(graph.indices[:, : k - 1], graph.distances[:, : k - 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap.umap_ import find_ab_params, simplicial_set_embedding

        a, b = find_ab_params(1.0, min_dist)
        places, _ = simplicial_set_embedding(
            data=points,
            graph=weighted,
            n_components=2,
            initial_alpha=1.0,
            a=a,
            b=b,
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=None,
            init=_start(points, 10.0, 1e-4, seed).astype(np.float32),
            random_state=np.random.RandomState(seed),  # umap-learn's own kind
            metric="euclidean",
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
            parallel=False,
            verbose=False,
        )
    return places.astype(np.float64), notes


def _tsne(space: Space, points: Floats, graph: Graph, seed: int) -> tuple[Floats, list[str]]:
    wanted, n = space.numbers[0], len(points)
    perplexity = min(wanted, (n - 1) / 3)
    notes = [] if perplexity == wanted else [f"{space.name}: perplexity {perplexity:.3g}, since there are {n} windows."]
    near = graph.first(max(int(3 * perplexity), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from openTSNE import TSNE
        from openTSNE.affinity import PerplexityBasedNN
        from openTSNE.nearest_neighbors import PrecomputedNeighbors

        affinities = PerplexityBasedNN(knn_index=PrecomputedNeighbors(near.indices, near.distances), perplexity=perplexity, n_jobs=1)
        start = _start(points, 1e-4, 1e-6, seed)
        method = "bh" if n <= _BARNES_HUT_LIMIT else "fft"
        embedder = TSNE(perplexity=perplexity, n_jobs=1, random_state=seed, negative_gradient_method=method)
        places = embedder.fit(affinities=affinities, initialization=start)
    return np.asarray(places, dtype=np.float64), notes


#: Kind -> function of (space, points, graph, seed); a new reduction is one line here and one in `parse_space`.
_REDUCTIONS = {"pca": _pca, "umap": _umap, "tsne": _tsne}
