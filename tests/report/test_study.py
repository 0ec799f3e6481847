"""The published numbers beside the run's own, on the page and in the terminal."""

import pytest
from rich.console import Console

from callspace.bench.published import PUBLISHED
from callspace.report import write_report
from callspace.report.study import compared_in_words, published_rows, published_table
from callspace.tables import from_rows, read_json, write_csv, write_json
from run_folders import make_run_folder


@pytest.fixture
def folder(tmp_path):
    folder = make_run_folder(tmp_path / "run")
    shared = {"dataset": "dogs", "encoder": "resnet152:random", "layer": "logits", "pool": "mean", "space": "umap-50-0.5"}
    shared |= {"protocol": "paper", "comparable": True, "ci_low": 0.3, "ci_high": 0.5}
    rows = [
        shared | {"metric": "nmi", "published": 0.358, "ours": 0.4, "difference": 0.042},
        shared | {"metric": "ari", "published": 0.195, "ours": 0.2, "difference": 0.005},
        shared | {"metric": "silhouette", "published": -0.063, "ours": None, "difference": None, "ci_low": None, "ci_high": None},
    ]
    write_csv(from_rows(rows, PUBLISHED), folder / "published.csv")
    about = read_json(folder / "provenance.json")
    write_json(about | {"deviations": ["UMAP <starts> elsewhere.", "One more."], "not_as_published": []}, folder / "provenance.json")
    return folder


def test_the_page_shows_both_numbers_the_difference_and_what_differs(folder):
    page = write_report(folder).read_text(encoding="utf-8")
    section = page[page.index('id="published"') :]
    for text in ("0.358", "0.400", "+0.042", "0.300 to 0.500", "−0.063", "UMAP &lt;starts&gt; elsewhere.", "2 deviations"):
        assert text in section, text


def test_without_published_numbers_there_is_no_section(folder):
    (folder / "published.csv").unlink()
    assert 'id="published"' not in write_report(folder).read_text(encoding="utf-8")
    assert published_table(folder) is None and published_rows(folder) == []


def test_the_terminals_table_fits_eighty_columns(folder):
    console = Console(width=80, record=True)
    console.print(published_table(folder))
    text = console.export_text()
    line = next(line for line in text.splitlines() if "umap-50-0.5" in line)
    for number in ("0.358 0.400 +0.042", "0.195 0.200 +0.005", "−0.063 – –"):
        assert number in line
    assert "resnet152:random" in text


def test_the_sentence_says_why_numbers_do_not_compare(folder):
    assert "2 deviations" in compared_in_words(folder)
    write_json(
        read_json(folder / "provenance.json") | {"not_as_published": ["another protocol", "another split"]}, folder / "provenance.json"
    )
    assert compared_in_words(folder) == "Not comparable as they stand: another protocol; another split."
