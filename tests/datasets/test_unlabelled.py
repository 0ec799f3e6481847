from callspace.datasets.unlabelled import load_recordings
from small_audio import class_folders, tone


def test_a_folder_of_plain_recordings_is_windowed_without_labels(tmp_path):
    tone(tmp_path / "a.wav", seconds=4.0)
    tone(tmp_path / "deep" / "b.wav", seconds=2.0)
    ds = load_recordings(tmp_path, window_s=1.0, hop_s=1.0)
    assert (ds.labels, ds.windows.num_rows) == ([], 6)
    assert set(ds.windows["split"].to_pylist()) == {None}


def test_one_recording_can_be_named(tmp_path):
    ds = load_recordings(tone(tmp_path / "a.wav", seconds=11.0))
    assert ds.windows["onset_s"].to_pylist() == [0.0, 5.0]
    assert any("Windows of 5 s" in note for note in ds.notes)


def test_class_folders_keep_their_labels(tmp_path):
    assert load_recordings(class_folders(tmp_path)).labels == ["high", "low", "top"]
