import pyarrow as pa
import pytest

from callspace.tables import WINDOWS, atomic_path, from_rows, read_json, read_parquet, write_csv, write_json, write_parquet


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_unknown_columns_are_refused_and_missing_ones_are_null():
    assert from_rows([{"window_id": 1}], WINDOWS)["split"].to_pylist() == [None]
    with pytest.raises(ValueError, match="typo"):
        from_rows([{"typo": 1}], WINDOWS)


def test_csv_joins_lists_and_decodes_splits(tmp_path):
    rows = [{"window_id": 0, "labels": ["a,b", "c"], "split": "train"}, {"window_id": 1, "labels": [], "split": None}]
    write_csv(from_rows(rows, WINDOWS).select(["window_id", "labels", "split"]), tmp_path / "w.csv")
    assert (tmp_path / "w.csv").read_text() == '"window_id","labels","split"\n0,"a,b;c","train"\n1,"",\n'


def test_parquet_comes_back_as_it_went(tmp_path):
    table = from_rows([{"window_id": 3, "labels": ["x"], "onset_s": 0.1}], WINDOWS)
    write_parquet(table, tmp_path / "w.parquet")
    assert read_parquet(tmp_path / "w.parquet").equals(table)
    assert isinstance(table, pa.Table)


def test_json_refuses_what_json_does_not_have(tmp_path):
    write_json({"ä": 1}, tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == {"ä": 1}
    with pytest.raises(ValueError):
        write_json({"a": float("nan")}, tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == {"ä": 1}
