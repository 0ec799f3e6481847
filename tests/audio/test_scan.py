"""All good recordings are used, all bad ones are listed with their reason."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from awkward_files import call, make_awkward_folder, write_sound
from callspace import tables
from callspace.audio import read_window, scan
from callspace.paths import cache_folder


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The recordings that were decoded rather than remembered."""
    module = sys.modules["callspace.audio.scan"]
    seen: list[Path] = []
    real = module.examine
    monkeypatch.setattr(module, "examine", lambda path: seen.append(Path(path)) or real(path))
    return seen


def memory_files() -> list[Path]:
    return sorted(cache_folder("scans").glob("*.parquet"))


def test_a_folder_of_awkward_files_is_sorted_into_good_and_bad(tmp_path: Path) -> None:
    good, bad = make_awkward_folder(tmp_path)
    names = sorted(good + bad, reverse=True)
    table, skipped = scan(tmp_path, names)
    assert table.schema == tables.RECORDINGS
    assert table["recording"].to_pylist() == [name for name in names if name in good]
    assert [row["path"] for row in skipped] == [name for name in names if name in bad]
    assert all(row["what"] == "recording" and row["reason"] and row["remedy"] for row in skipped)
    assert len({row["reason"] for row in skipped}) == len(bad) == 7
    by_name = {row["recording"]: row for row in table.to_pylist()}
    stereo, bat = by_name["grillón & sapo/stereo.96k.wav"], by_name["Zilpzalp/bat 250 kHz.wav"]
    assert (stereo["channels"], stereo["sample_rate_hz"], stereo["duration_s"], stereo["format"]) == (2, 96_000, 0.5, "WAV PCM_24")
    assert (bat["sample_rate_hz"], bat["frames"]) == (250_000, 62_500)
    reason = {Path(row["path"]).name: row["reason"] for row in skipped}
    assert "0 bytes" in reason["empty.wav"] and "text" in reason["text called.wav"] and "NaN" in reason["not a number.wav"]
    assert "cut off" in reason["truncated.wav"] and "cut off" in reason["truncated.flac"]
    assert "not one sample" in reason["zero samples.wav"] and "silent" in reason["silent.wav"]
    tables.from_rows(skipped, tables.SKIPPED)


def test_a_second_scan_decodes_nothing_and_says_the_same(tmp_path: Path, examined: list[Path]) -> None:
    good, bad = make_awkward_folder(tmp_path)
    first = scan(tmp_path, good + bad)
    assert len(examined) == len(good) + len(bad)
    examined.clear()
    second = scan(tmp_path, good + bad)
    assert examined == []
    assert second[0].equals(first[0]) and second[1] == first[1]


def test_a_changed_recording_is_examined_again(tmp_path: Path, examined: list[Path]) -> None:
    path = write_sound(tmp_path / "a.wav", call(1.0, 8_000), 8_000)
    scan(tmp_path, ["a.wav"])
    write_sound(path, call(2.0, 8_000), 8_000)
    assert scan(tmp_path, ["a.wav"])[0]["duration_s"].to_pylist() == [2.0]
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    scan(tmp_path, ["a.wav"])
    assert len(examined) == 3


def test_nothing_is_remembered_when_not_asked_to(tmp_path: Path, examined: list[Path]) -> None:
    write_sound(tmp_path / "a.wav", call(1.0, 8_000), 8_000)
    before = memory_files()
    scan(tmp_path, ["a.wav"], remember=False)
    scan(tmp_path, ["a.wav"], remember=False)
    assert len(examined) == 2 and memory_files() == before


def test_a_missing_recording_is_listed_and_found_once_it_is_there(tmp_path: Path) -> None:
    table, skipped = scan(tmp_path, ["a.wav"])
    assert table.num_rows == 0 and "no such file" in skipped[0]["reason"]
    write_sound(tmp_path / "a.wav", call(1.0, 8_000), 8_000)
    table, skipped = scan(tmp_path, ["a.wav"])
    assert table.num_rows == 1 and skipped == []


def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path, examined: list[Path]) -> None:
    write_sound(tmp_path / "a.wav", call(1.0, 8_000), 8_000)
    before = set(memory_files())
    scan(tmp_path, ["a.wav"])
    (memory,) = set(memory_files()) - before
    for damage in (b"not parquet", b"", memory.read_bytes()[:100]):
        memory.write_bytes(damage)
        assert scan(tmp_path, ["a.wav"])[0].num_rows == 1
    assert len(examined) == 4
    scan(tmp_path, ["a.wav"])
    assert len(examined) == 4


def test_a_memory_made_by_other_rules_is_ignored(tmp_path: Path, examined: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    write_sound(tmp_path / "a.wav", call(1.0, 8_000), 8_000)
    scan(tmp_path, ["a.wav"])
    monkeypatch.setattr(sys.modules["callspace.audio.scan"], "_RULES", b"another")
    scan(tmp_path, ["a.wav"])
    assert len(examined) == 2


def test_two_scans_of_one_folder_add_to_one_memory(tmp_path: Path, examined: list[Path]) -> None:
    for name in ("a.wav", "b.wav"):
        write_sound(tmp_path / name, call(1.0, 8_000), 8_000)
    scan(tmp_path, ["a.wav"])
    scan(tmp_path, ["b.wav"])
    examined.clear()
    scan(tmp_path, ["a.wav", "b.wav"])
    assert examined == []


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sound(tmp_path / "a.wav", call(1.0, 8_000), 8_000)
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("x")
    monkeypatch.setenv("CALLSPACE_CACHE", str(blocked))
    assert scan(tmp_path, ["a.wav"])[0].num_rows == 1


def test_absolute_paths_and_repeated_names_are_accepted(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sub" / "a.wav", call(1.0, 8_000), 8_000)
    table, skipped = scan(tmp_path / "elsewhere", [str(path), str(path)], threads=1)
    assert table["recording"].to_pylist() == [str(path)] and skipped == []


def test_no_recordings_give_an_empty_table(tmp_path: Path) -> None:
    table, skipped = scan(tmp_path, [])
    assert table.schema == tables.RECORDINGS and table.num_rows == 0 and skipped == []


def test_a_name_that_is_not_utf8_is_examined_without_a_traceback(tmp_path: Path) -> None:
    try:
        raw = os.fsencode(tmp_path) + b"/caf\xe9.wav"
        Path(os.fsdecode(raw)).write_bytes(write_sound(tmp_path / "a.wav", call(1.0, 8_000), 8_000).read_bytes())
    except OSError:
        pytest.skip("this file system holds only UTF-8 names")
    table, skipped = scan(tmp_path, ["a.wav", os.fsdecode(b"caf\xe9.wav")])
    assert table["recording"].to_pylist() == ["a.wav"]
    assert "UTF-8" in skipped[0]["reason"] and skipped[0]["path"] == "caf\\udce9.wav"
    tables.from_rows(skipped, tables.SKIPPED)
    assert read_window(os.fsdecode(raw), 0, 1).any()


def test_progress_counts_every_recording(tmp_path: Path) -> None:
    done: list[int] = []

    class Counter:
        @contextmanager
        def task(self, description: str, total: int | None):
            done.append(-(total or 0))
            yield done.append

        def say(self, sentence: str) -> None: ...

    good, bad = make_awkward_folder(tmp_path)
    scan(tmp_path, good + bad, progress=Counter())
    assert sum(done) == 0 and len(done) == len(good) + len(bad) + 1
