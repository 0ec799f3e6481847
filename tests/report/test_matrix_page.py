"""The page of a matrix: scores by dataset, ranks, no request, nothing of a user's read as markup."""

import html
import re
from types import SimpleNamespace

import pyarrow as pa

from callspace.bench.matrix import MATRIX, Matrix, correlations
from callspace.bench.ranking import rankings
from callspace.report.matrix_page import _matched, write_matrix_page
from callspace.tables import from_rows, write_csv, write_json


def made(folder, datasets=("a", "b", "c", "<script>alert(1)</script>")):
    """A matrix of three encoders without its runs."""
    shared = {"layer": "l", "pool": "mean", "pretraining": "none", "regime": "full", "recipe": "", "background": 1.0, "policy": "share"}
    shared |= {"protocol": "fair", "metric": "accuracy", "space": "full"}
    rows = [
        shared
        | {
            "dataset": dataset,
            "encoder": encoder,
            "value": value + 0.01 * at,
            "ci_low": value - 0.1,
            "ci_high": value + 0.1,
            "nmi": value / 2,
        }
        for at, dataset in enumerate(datasets)
        for encoder, value in (("best", 0.8), ("middle", 0.6), ("worst", 0.4))
    ]
    write_csv(from_rows(rows, MATRIX), folder / "matrix.csv")
    about = {"runs": {}, "failed": [{"dataset": "gone", "reason": "not there"}], "not_as_published": {}, "study": []}
    write_json(about | {"correlations": correlations(rows), "rankings": rankings(rows)}, folder / "matrix.json")
    return Matrix(folder)


def test_it_holds_scores_ranks_and_what_failed_and_is_the_same_twice(tmp_path):
    matrix = made(tmp_path)
    page = write_matrix_page(matrix)
    text = page.read_text()
    assert "0.800 (0.700 to 0.900)" in text
    assert "Which is best over all datasets?" in text
    assert "4 datasets are too few" in text  # for a signed-rank test of three pairs
    assert "gone: not there" in text
    first = page.read_bytes()
    assert write_matrix_page(matrix).read_bytes() == first


def test_nothing_is_asked_of_the_network_and_names_are_no_markup(tmp_path):
    text = write_matrix_page(made(tmp_path)).read_text()
    assert "<script>alert(1)" not in text
    assert "default-src 'none'" in html.unescape(text)
    outside = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)  # Plotly's own text names addresses that it never asks
    assert not re.search(r'(?:src|href)="(?:https?:)?//', outside)


def test_two_datasets_have_no_ranks_and_the_page_says_why(tmp_path):
    text = write_matrix_page(made(tmp_path, ("a", "b"))).read_text()
    assert "Which is best over all datasets?" not in text
    assert "No ranking by the main score: 2 datasets have it, and an average of ranks needs 3." in text


def pair(b: str, difference: float, a: str = "hubert-base", metric: str = "accuracy", clusterer: str = "linear", p: float = 0.001, **more):
    """A paired difference of two encoders, frozen."""
    side = {"layer": "pooled", "pool": "mean", "regime": "frozen", "background": 1.0, "policy": "share"} | more
    row = {f"{at}_{name}": value for at in "ab" for name, value in side.items()}
    row |= {"dataset": "d", "question": "pair", "a_encoder": a, "b_encoder": b, "space": "full", "clusterer": clusterer, "metric": metric}
    ends = {"ci_low": difference - 0.05, "ci_high": difference + 0.05}
    return row | {"a_value": 0.5, "b_value": 0.5 + difference, "difference": difference, "p": p} | ends


def matched(**runs):
    """The section on matched pairs of runs with these comparisons."""
    kinds = {"hubert-base": "speech", "convnext-base": "image", "birdset-convnext": "bioacoustic"}
    kinds |= dict.fromkeys(("aves", "aves-core", "aves-all"), "bioacoustic")
    summary = pa.table({"encoder": list(kinds), "pretraining": list(kinds.values())})
    return _matched(
        SimpleNamespace(
            runs={name: SimpleNamespace(summary=summary, comparisons=pa.Table.from_pylist(rows)) for name, rows in runs.items()}
        )
    )


def cells(table, *names: str) -> list[tuple[str, ...]]:
    heads = [column["name"] for column in table["columns"]]
    return [tuple(line[heads.index(name)] for name in names) for line in table["rows"]]


def test_matched_pairs_are_told_apart_by_their_encoders_and_policies():
    full = {"regime": "full", "clusterer": "head"}
    rows = [
        *(pair(name, 0.1) for name in ("aves", "aves-core", "aves-all")),
        *(pair("aves", 0.1, background=kept, **full) for kept in (1.0, 0.1)),
    ]
    found = cells(matched(dogs=rows)["panes"][1]["table"], "encoders", "regime")
    assert [names for names, _ in found] == [f"{name} − hubert-base" for name in ("aves", "aves-core", "aves-all", "aves", "aves")]
    assert len(set(found)) == 5
    assert [way.endswith((" · 100 %", " · 10 %")) for _, way in found] == [False] * 3 + [True] * 2


def test_nmi_of_matched_pairs_is_of_the_first_clusterer_only():
    rows = [pair("aves", 0.1, metric="nmi", clusterer=name) for name in ("kmeans", "ward")]
    assert len(matched(dogs=rows)["panes"][1]["table"]["rows"]) == 1


def test_matched_pairs_are_counted_over_datasets_and_tested_together():
    one = [pair("birdset-convnext", 0.2, "convnext-base", p=0.001), pair("aves", 0.2, p=0.02)]
    two = [pair("birdset-convnext", -0.2, "convnext-base", metric="map", p=0.02)]
    found = matched(dogs=one, dawn=two)
    counted = cells(
        found["panes"][0]["table"], "pretraining", "score", "pairs", "first clearly higher", "second clearly higher", "undecided"
    )
    assert sorted(counted) == [
        ("bioacoustic − image", "accuracy or mAP", "2", "1", "1", "0"),
        ("bioacoustic − speech", "accuracy or mAP", "1", "1", "0", "0"),
    ]
    assert "of 2 matched pairs, 1 clearly better from sound, 1 clearly better from images, 0 undecided" in found["lead"][1]
    assert sorted(cells(found["panes"][1]["table"], "dataset", "p (Holm)")) == [("dawn", "0.040"), ("dogs", "0.003"), ("dogs", "0.040")]
