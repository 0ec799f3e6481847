"""How far embeddings move under changes that say nothing of the animal, by encoders whose invariances are known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch

from callspace.datasets import load_dataset
from callspace.embedding.pipeline import embed_rows
from callspace.evaluation.diagnosis.invariance import CHANGES, LIMITS, invariance


class Spectral(torch.nn.Module):
    """The magnitudes of the spectrum at a few frequencies: blind to shifts, and to level where normalised."""

    sample_rate_hz = 8000
    layer = "spectrum"

    def __init__(self, *, level: float = 0.0, place: float = 0.0, padding: float = 0.0, longer: int = 0, normalised: bool = True) -> None:
        super().__init__()
        self.level, self.place, self.padding, self.longer, self.normalised = level, place, padding, longer, normalised
        self.spec = SimpleNamespace(name="spectral", embedding_dim=42)

    def bind(self, rate):
        return self

    def at(self, layer):
        return self

    def forward(self, waveforms, lengths):
        rows = []
        for sound, length in zip(waveforms, lengths.tolist(), strict=True):
            own = sound[:length]
            bands = torch.fft.rfft(own).abs().pow(2)
            bands = torch.nn.functional.adaptive_avg_pool1d(bands[None, None], 40)[0, 0].sqrt()
            if self.normalised:
                bands = bands / bands.norm().clamp_min(1e-9)
            loud = self.level * torch.log10(own.pow(2).mean().clamp_min(1e-9))
            halves = own.pow(2).cumsum(0) / own.pow(2).sum().clamp_min(1e-9)
            where = self.place * (halves < 0.5).float().mean()
            bands = bands.roll(self.longer * (length > 4000))  # a longer window sounds higher
            rows.append(torch.cat([bands, torch.stack([loud, where + self.padding * waveforms.shape[1]])]))
        return torch.stack(rows)


def calls(folder, before_s=0.0):
    """Three classes of tones in 120 recordings each its own group; the level is drawn at random, and so is the place of the call."""
    rng = np.random.default_rng(1)
    lines = ["path,label,split"]
    for number in range(120):
        label, hz = [("low", 500), ("mid", 1500), ("top", 3000)][number % 3]
        t = np.arange(4000 + round(2 * before_s * 8000)) / 8000 - before_s
        sound = np.sin(2 * np.pi * hz * rng.uniform(0.9, 1.1) * t) * np.exp(-0.5 * ((t - rng.uniform(0.1, 0.4)) / 0.05) ** 2)
        sound = 10 ** rng.uniform(-2, -0.5) * sound + 1e-4 * rng.standard_normal(len(t))
        soundfile.write(folder / f"{number}.wav", sound, 8000, subtype="FLOAT")
        lines.append(f"{number}.wav,{label},{('train', 'test', 'valid', 'test')[(number // 3) % 4]}")
    (folder / "clips.csv").write_text("\n".join(lines))
    return load_dataset(folder / "clips.csv")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Clips that are their whole recordings."""
    return calls(tmp_path_factory.mktemp("clips"))


def with_columns(dataset, **columns):
    windows = dataset.windows
    for name, values in columns.items():
        at = windows.schema.get_field_index(name)
        windows = windows.set_column(at, name, pa.array(list(values), windows.schema.field(name).type))
    return replace(dataset, windows=windows)


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """The same in windows of half a second in the middle of recordings of a second."""
    dataset = calls(tmp_path_factory.mktemp("field"), before_s=0.25)
    return replace(with_columns(dataset, onset_s=[0.25] * 120, offset_s=[0.75] * 120), window_s=0.5)


def judged(clips, encoder, **options):
    rows = list(range(clips.windows.num_rows))
    vectors = embed_rows(clips, encoder, rows, device=torch.device("cpu"))["spectrum"]
    return invariance(clips, encoder, vectors, device="cpu", **options)


def test_an_encoder_that_hears_neither_level_nor_place_is_fine(clips):
    found = judged(clips, Spectral())
    assert found.verdict == "fine", found
    for name in ("gain -12 dB", "gain +12 dB"):
        assert found.evidence["changes"][name]["movement"] < 1e-4
        assert found.evidence["changes"][name]["label_changed"] == 0
    assert found.evidence["padding_error"] == 0
    assert found.evidence["windows"] == 60
    assert found.evidence["within_class"] < found.evidence["between_classes"]


def test_an_encoder_that_hears_level_above_all_is_looked_at_for_gain_alone(clips):
    found = judged(clips, Spectral(level=3.0))
    assert found.verdict == "look"
    assert "gain" in found.sentence
    assert "shift" not in found.sentence
    assert "level" in found.remedy
    own = found.evidence["changes"]["gain -12 dB"]
    assert own["label_changed_ci"][0] <= own["label_changed"] <= own["label_changed_ci"][1]
    assert own["movement"] > 0.5


def test_an_encoder_that_hears_the_place_in_the_window_is_looked_at_for_shifts(clips):
    found = judged(clips, Spectral(place=30.0))
    assert found.verdict == "look"
    assert "shift" in found.sentence
    assert "gain" not in found.sentence


def test_an_encoder_that_hears_the_zeros_of_batching_is_a_problem(clips):
    found = judged(clips, Spectral(padding=1e-3))
    assert found.verdict == "problem"
    assert found.evidence["padding_error"] > 0.1


def test_a_movement_is_the_one_that_the_change_makes_stated_plainly(clips):
    encoder = Spectral(normalised=False)
    found = judged(clips, encoder)
    rows = clips.rows("test")
    vectors = embed_rows(clips, encoder, list(range(clips.windows.num_rows)), device=torch.device("cpu"))["spectrum"].astype(float)
    chosen, labels = vectors[rows], np.array([one[0] for one in clips.windows["labels"].to_pylist()])[rows]
    distances = np.linalg.norm(chosen[:, None] - chosen[None], axis=2)
    alike = (labels[:, None] == labels) & ~np.eye(len(rows), dtype=bool)
    # Magnitudes are linear in the sound: at -12 dB each embedding goes (1 - 10 ** -0.6) of the way to zero.
    moved = np.median(np.linalg.norm(chosen, axis=1)) * (1 - 10**-0.6)
    assert found.evidence["changes"]["gain -12 dB"]["movement"] == pytest.approx(moved / np.median(distances[alike]), rel=1e-4)
    np.fill_diagonal(distances, np.inf)
    away = np.linalg.norm(10**-0.6 * chosen[:, None] - chosen[None], axis=2)
    np.fill_diagonal(away, np.inf)
    changed = np.mean(labels[away.argmin(axis=1)] != labels[distances.argmin(axis=1)])
    assert found.evidence["changes"]["gain -12 dB"]["label_changed"] == pytest.approx(changed)


def test_the_same_seed_gives_the_same_finding_and_the_sample_is_of_many_groups(clips):
    first, second = (judged(clips, Spectral(level=0.2), sample=20, seed=3) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert (first.evidence["windows"], first.evidence["groups"]) == (20, 20)
    assert set(first.evidence["changes"]) == {*CHANGES, "padding"}


def test_stored_embeddings_of_another_encoder_are_unmeasured(clips):
    found = invariance(clips, Spectral(), np.random.default_rng(0).normal(size=(120, 42)), device="cpu")
    assert found.verdict == "unmeasured"
    assert "changed since" in found.sentence


def test_few_groups_and_one_class_are_unmeasured(clips):
    few = with_columns(clips, group=[f"g{n % 3}" for n in range(120)])
    found = judged(few, Spectral(level=3.0))
    assert found.verdict == "unmeasured"
    assert found.evidence["changes"]["gain -12 dB"]["label_changed"] > 0
    assert found.evidence["changes"]["gain -12 dB"]["label_changed_ci"] is None
    one = clips.with_splits(["test" if n % 3 == 0 else "train" for n in range(120)])
    assert judged(one, Spectral()).verdict == "unmeasured"


def with_labels(clips, names):
    return with_columns(clips, labels=[[name] for name in names])


def test_an_embedding_that_moves_is_looked_at_even_where_it_is_not_known_to_have_anything_to_lose(clips):
    shuffled = with_labels(clips, [("low", "mid", "top")[n] for n in np.random.default_rng(5).integers(0, 3, 120)])
    found = judged(shuffled, Spectral(level=3.0))
    own = found.evidence["changes"]["gain -12 dB"]
    assert own["label_changed_ci"][0] > LIMITS["gain -12 dB"]
    assert own["lost"] == pytest.approx(found.evidence["right"] - own["right"])
    assert found.verdict == "look"
    assert "nothing was there" not in found.sentence
    assert "the windows are too few to tell whether there was anything to lose" in found.sentence
    assert found.evidence["right_by_chance"] == pytest.approx(1 / 3, abs=0.05)


def test_what_it_costs_is_said_where_accuracy_is_lost(clips):
    found = judged(clips, Spectral(level=3.0))
    costly = [name for name, own in found.evidence["changes"].items() if name in LIMITS and own["lost_ci"][0] > 0]
    assert costly
    assert "and it costs: with gain" in found.sentence


def test_it_is_fine_only_where_every_interval_ends_below_its_limit(clips, field):
    found = judged(field, Spectral())
    assert found.verdict == "fine"
    assert all(found.evidence["changes"][name]["label_changed_ci"][1] < limit for name, limit in LIMITS.items())
    few = judged(clips, Spectral(), sample=20)
    assert few.evidence["changes"]["gain +12 dB"]["label_changed"] == 0
    assert few.evidence["changes"]["gain +12 dB"]["label_changed_ci"] == [0.0, pytest.approx(1 - 0.025 ** (1 / 20))]
    assert (few.verdict, "gain +12 dB" in few.sentence) == ("unmeasured", True)


def test_a_window_twice_as_long_is_judged(field):
    assert LIMITS["window twice as long"] == 0.25
    found = judged(field, Spectral(longer=10))
    assert found.verdict == "look"
    assert "window twice as long (" in found.sentence
    assert "gain" not in found.sentence
    assert "one length of windows" in found.remedy


def test_windows_are_not_widened_beyond_their_recordings_and_the_rest_is_judged(clips):
    found = judged(clips, Spectral(longer=10))
    assert found.verdict == "fine"
    assert "window twice as long" not in found.evidence["changes"]
    assert (found.evidence["widened"], found.evidence["windows"]) == (0, 60)
    assert "Of a window twice as long nothing is said: none of the 60 windows could be widened" in found.sentence


def test_a_longer_window_is_judged_by_those_that_can_be_widened_where_they_are_enough(field):
    rows = field.rows("test")
    at_the_start = [0.0 if row in rows[::3] else 0.25 for row in range(120)]
    most = with_columns(field, onset_s=at_the_start, offset_s=[onset + 0.5 for onset in at_the_start])
    found = judged(most, Spectral(longer=10))
    own = found.evidence["changes"]["window twice as long"]
    assert (own["windows"], own["groups"], found.evidence["widened"]) == (40, 40, 40)
    assert "window twice as long (" in found.sentence
    few = with_columns(
        field,
        onset_s=[0.25 if row in rows[:8] else 0.0 for row in range(120)],
        offset_s=[0.75 if row in rows[:8] else 0.5 for row in range(120)],
    )
    found = judged(few, Spectral())
    assert found.evidence["changes"]["window twice as long"]["label_changed_ci"][1] > 0.25
    assert (found.verdict, "only 8 of the 60 windows" in found.sentence) == ("fine", True)


def overlapping(field):
    """Each test recording in two windows, which share most of their sound."""
    rows = field.rows("test")
    twice = pa.concat_tables([field.windows, field.windows.take(pa.array(rows))])
    onsets = [0.25] * 120 + [0.3] * len(rows)
    doubled = replace(field, windows=twice.set_column(0, "window_id", pa.array(range(len(onsets)), pa.int64())))
    return with_columns(doubled, onset_s=onsets, offset_s=[onset + 0.5 for onset in onsets])


def test_neighbours_are_of_other_recordings_and_groups(field):
    doubled = overlapping(field)
    # Labels that tell nothing: a window's only help would be the other window of its own recording.
    names = [("low", "mid", "top")[n] for n in np.random.default_rng(5).integers(0, 3, 120)]
    shuffled = with_labels(doubled, names + [names[row] for row in field.rows("test")])
    found = judged(shuffled, Spectral(level=3.0), sample=200)
    assert found.evidence["windows"] == 120
    assert found.evidence["right"] < 0.55
    labels = np.array([one[0] for one in shuffled.windows["labels"].to_pylist()])[shuffled.rows("test")]
    recording = np.array(shuffled.windows["recording"].to_pylist())[shuffled.rows("test")]
    others = recording[:, None] != recording
    alike = labels[:, None] == labels
    assert found.evidence["right_by_chance"] == pytest.approx(((alike & others).sum(axis=1) / others.sum(axis=1)).mean())
    groups = np.array([f"g{n // 6}" for n in [*range(120), *field.rows("test")]])
    others = groups[shuffled.rows("test")][:, None] != groups[shuffled.rows("test")]
    found = judged(with_columns(shuffled, group=groups), Spectral(level=3.0), sample=200)
    assert found.evidence["right_by_chance"] == pytest.approx(((alike & others).sum(axis=1) / others.sum(axis=1)).mean())


def test_windows_of_one_recording_can_not_be_compared(field):
    one = with_columns(field, group=["tape"] * 120)
    found = judged(one, Spectral())
    assert (found.verdict, "of one recording or group" in found.sentence) == ("unmeasured", True)


def test_background_is_a_class_where_there_is_one_species(field):
    """Soundscapes of one species: a quiet call may become background."""
    labels = [["low"] if n % 3 < 2 else [] for n in range(120)]
    one = replace(with_columns(field, labels=labels), task="detection", labels=["low"])
    found = judged(one, Spectral(level=3.0))
    assert found.evidence["windows"] == 40
    assert (found.verdict, "gain" in found.sentence) == ("look", True)
    assert judged(one, Spectral()).evidence["changes"]["gain -12 dB"]["label_changed"] == 0
