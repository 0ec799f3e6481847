"""``callspace finetune``: what it replaces, what it says of entries that are not used, and how it is interrupted."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from callspace.cli.app import app
from callspace.errors import CallspaceError
from small_audio import class_folders, tone


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp("data") / "clips", clips=8, seconds=0.2)


@pytest.fixture(scope="module")
def tuned(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "frogs"
    run("finetune", clips, "-e", "mfcc", "-r", "linear", "-o", folder)
    return folder


@pytest.fixture
def out(tuned, tmp_path):
    """A copy to write over."""
    return shutil.copytree(tuned, tmp_path / "frogs")


def run(*words, code=0):
    found = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    if isinstance(found.exception, CallspaceError):
        raise found.exception
    assert found.exit_code == code, found.output
    return found.output


def test_the_same_fit_again_replaces_itself(clips, out):
    (out / "README.md").unlink()
    assert "Saved in" in run("finetune", clips, "-e", "mfcc", "-r", "linear", "-o", out)
    assert (out / "README.md").exists()


@pytest.mark.parametrize(
    ("words", "other"),
    [
        (("-e", "mfcc", "-r", "prototype"), "regime"),
        (("-e", "mfcc", "-r", "linear", "--seed", "1"), "seed"),
        (("-e", "resnet18:random", "-r", "linear"), "encoder"),
    ],
)
def test_another_encoder_is_not_written_over_and_no_recording_is_read(words, other, out, tmp_path):
    before = (out / "card.json").read_bytes()
    with pytest.raises(CallspaceError, match=rf"holds mfcc tuned on clips \(linear\), and the {other} would be another now: .*--overwrite"):
        run("finetune", tmp_path / "nowhere", *words, "-o", out)
    assert (out / "card.json").read_bytes() == before


def test_an_encoder_of_other_recordings_is_not_written_over(out, tmp_path):
    others = class_folders(tmp_path / "clips", clips=7, seconds=0.2)
    with pytest.raises(CallspaceError, match="the recordings, labels or splits would be another now"):
        run("finetune", others, "-e", "mfcc", "-r", "linear", "-o", out)
    run("finetune", others, "-e", "mfcc", "-r", "linear", "-o", out, "--overwrite")


def test_an_encoder_is_tuned_further_elsewhere_and_remembers(clips, out, tmp_path):
    with pytest.raises(CallspaceError, match="is the encoder that is to be tuned further"):
        run("finetune", clips, "-e", out, "-r", "linear", "-o", out)
    run("finetune", clips, "-e", out, "-r", "prototype", "-o", tmp_path / "second")
    assert [row["regime"] for row in json.loads((tmp_path / "second" / "card.json").read_text())["card"]["before"]] == ["linear"]
    assert "tuned before on**: clips (linear)" in (tmp_path / "second" / "README.md").read_text()
    assert "clips (linear), then clips (prototype)" in run("models", "show", tmp_path / "second")


def test_a_folder_whose_card_says_nothing_is_not_written_over(out, tmp_path):
    (out / "card.json").write_text("{")
    with pytest.raises(CallspaceError, match="holds a saved encoder, and"):
        run("finetune", tmp_path / "nowhere", "-e", "mfcc", "-r", "linear", "-o", out)


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        (("-r", "linear", "--augment", "strong"), ["The regime linear takes no augmentation: training.augment is not used."]),
        (
            ("-r", "mlp", "--augment", "light", "--set", "training.mixup=0.3", "--set", "training.max_epochs=3"),
            [
                "The regime mlp takes no augmentation: training.augment, training.mixup are not used.",
                "The regime mlp leaves the network as it is: training.max_epochs is not used.",
            ],
        ),
        (("-r", "mlp", "--set", "training.loss=focal", "--augment", "off"), []),
        (("-r", "decay", "--set", "training.layer_decay=0.5"), ["sets its recipe's entries itself: training.layer_decay is not used."]),
        (("-r", "full", "--augment", "strong", "--set", "seeds=2"), []),
    ],
)
def test_entries_that_a_regime_does_not_read_are_named(words, sentences, tmp_path):
    found = CliRunner().invoke(app, ["finetune", str(tmp_path / "nowhere"), "-e", "resnet18:random", "-o", str(tmp_path / "x"), *words])
    assert isinstance(found.exception, CallspaceError)  # there are no recordings, which is found out later
    assert found.output.count("not used") == len(sentences)
    for sentence in sentences:
        assert sentence in " ".join(found.output.split())


def test_one_background_policy_is_taken(clips, tmp_path):
    with pytest.raises(CallspaceError, match=r"finetune takes one background policy, not '1,0.5': callspace bench compares several"):
        run("finetune", clips, "-e", "mfcc", "-r", "linear", "-b", "1,0.5", "-o", tmp_path / "x")


def test_of_soundscapes_another_background_is_another_encoder(tmp_path):
    lines = ["path,onset_s,offset_s,label"]
    for n in range(6):
        tone(tmp_path / "audio" / f"r{n}.wav", seconds=3.0)
        lines.append(f"r{n}.wav,1.0,1.4,a")
    (tmp_path / "events.csv").write_text("\n".join(lines))
    words = (
        "finetune",
        tmp_path / "audio",
        "--annotations",
        tmp_path / "events.csv",
        "--window",
        "0.5",
        "-e",
        "mfcc",
        "-r",
        "linear",
        "-o",
        tmp_path / "x",
    )
    run(*words, "-b", "0.5")
    assert "**background**: fitted on 50 % of the background" in (tmp_path / "x" / "README.md").read_text()
    with pytest.raises(CallspaceError, match="and the background would be another now"):
        run(*words)
    run(*words, "-b", "0.5")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("finetune", "-e", "mfcc", "-o"), "Interrupted."),
        (("bench", "-e", "mfcc", "-o"), "Interrupted: the same command goes on where it was."),
        (("datasets", "audit"), "Interrupted."),
    ],
)
def test_an_interrupted_command_says_whether_it_goes_on(command, sentence, clips, tmp_path, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("callspace.datasets.load_dataset", interrupted)
    name, *words = command
    at_end = [tmp_path / "x"] if words[-1] == "-o" else []
    data = [clips]
    order = [name, *data, *words, *at_end] if at_end else [name, *words, *data]
    assert run(*order, code=130).strip().splitlines()[-1] == sentence


@pytest.mark.parametrize(("kept", "sentence"), [(True, "goes on where it was"), (False, "begins anew")])
def test_an_interrupted_fit_goes_on_from_what_it_kept(kept, sentence, clips, tmp_path, monkeypatch):
    def interrupted(*args, checkpoint, **options):
        if kept:
            checkpoint.write_bytes(b"state")
        raise KeyboardInterrupt

    monkeypatch.setattr("callspace.adaptation.finetune.finetune", interrupted)
    said = run("finetune", clips, "-e", "resnet18:random", "-o", tmp_path / "x", code=130)
    assert said.strip().splitlines()[-1] == f"Interrupted: the same command {sentence}."


def test_the_regimes_of_an_encoder_are_those_that_apply():
    assert "prototype, linear, mlp, attentive, last, lora, full, lp-ft, decay, gradual" in run("models", "show", "callspace-small")
    shown = run("models", "show", "mfcc")
    assert "frozen, prototype, linear, mlp" in shown
    assert "lora" not in shown
    assert "can't be tuned" in shown
