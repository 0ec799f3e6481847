"""``umap-K-D``: a 2-D UMAP of K neighbours, the window counted, and min_dist D (L. McInnes, J. Healy and J. Melville, 2018).

umap-learn's optimisation, of 500 epochs up to 10,000 windows and 200 above, on the exact neighbour graph. Its weights are those of
`callspace.evaluation.fuzzy_graph`, so that umap-learn compiles nothing but the optimisation, once a process.
"""

import warnings

import numpy as np

from callspace.evaluation.fuzzy_graph import fuzzy_graph
from callspace.evaluation.reductions.base import Graph, Numbers, Reduction, start, whole
from callspace.metrics.weights import Floats

__all__ = ["UMAP"]


def _place(name: str, numbers: Numbers, points: Floats, graph: Graph, seed: int) -> tuple[Floats, list[str]]:
    wanted, min_dist = int(numbers[0]), numbers[1]
    k = min(wanted, len(points) - 1)
    notes = [] if k == wanted else [f"{name}: {k} neighbours, since there are {len(points)} windows."]
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
            init=start(points, 10.0, 1e-4, seed).astype(np.float32),
            random_state=np.random.RandomState(seed),  # umap-learn's own kind
            metric="euclidean",
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
            parallel=False,  # the same map on any number of threads
            verbose=False,
        )
    return places.astype(np.float64), notes


UMAP = Reduction(
    "umap-NEIGHBOURS-MIN_DIST",
    lambda numbers: len(numbers) == 2 and whole(numbers[0], 2) and 0 <= numbers[1] <= 1,
    lambda numbers: int(numbers[0]) - 1,
    _place,
)
