"""``callspace models export`` and ``push``: what is written and said, and what is refused."""

import pytest
from typer.testing import CliRunner

from callspace import load_encoder
from callspace.cli.models import app
from callspace.encoders.heads import LinearHead
from callspace.errors import CallspaceError
from mimicked_hub import mimicked_hub


def saved(folder, **card):
    encoder = load_encoder("mfcc", sample_rate_hz=8_000)
    encoder.head, encoder.labels = LinearHead(encoder.spec.embedding_dim, 2), ["frog", "toad"]
    return encoder.save(folder, card)


@pytest.fixture
def folder(tmp_path):
    return saved(tmp_path / "tuned", window_s=0.5)


def run(*words):
    found = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})
    if isinstance(found.exception, CallspaceError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def test_a_tuned_encoder_becomes_an_onnx_file_of_its_own_window(folder, tmp_path):
    pytest.importorskip("onnxruntime")
    said = run("export", folder, "--onnx", tmp_path / "out" / "net.onnx")
    assert "windows of 0.5 s: 4000 samples at 8000 Hz" in said
    assert "embedding (80 numbers), logits (2 labels)" in said
    assert f"callspace embed DATA --encoder {tmp_path / 'out' / 'net.onnx'} --window 0.5 --out store" in said
    assert load_encoder(tmp_path / "out" / "net.onnx").spec.max_window_s == 0.5


def test_another_window_can_be_given(folder, tmp_path):
    pytest.importorskip("onnxruntime")
    assert "windows of 1 s: 8000 samples" in run("export", folder, "--onnx", tmp_path / "net.onnx", "--window", "1")


@pytest.mark.parametrize(
    ("given", "onnx", "words"),
    [
        ("nowhere", "net.onnx", "there is no folder 'nowhere'"),
        ("nowhere/tuned", "net.onnx", "there is no saved encoder at nowhere/tuned"),
        ("resnet18", "net.onnx", r"is an encoder's name, not the folder of a tuned one: callspace finetune DATA --encoder resnet18"),
        (".", "net.onnx", "is not a saved encoder"),
        (None, "net.pt", r"ends in \.onnx"),
        (None, "file/net.onnx", "can't be written"),
    ],
)
def test_what_is_not_right_is_refused_with_a_sentence(given, onnx, words, folder, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CallspaceError, match=words):
        run("export", given or folder, "--onnx", onnx)


def test_a_card_without_a_window_asks_for_one(tmp_path):
    with pytest.raises(CallspaceError, match="say it, with --window SECONDS"):
        run("export", saved(tmp_path / "tuned"), "--onnx", tmp_path / "net.onnx")


def test_a_pushed_encoder_is_used_by_the_name_that_is_said(folder, tmp_path, monkeypatch):
    with mimicked_hub(monkeypatch, tmp_path / "cache") as hub:
        with pytest.raises(CallspaceError, match="nobody is logged in"):
            run("push", folder, "me/frogs")
        monkeypatch.setenv("HF_TOKEN", hub.token)
        said = run("push", folder, "me/frogs")
        name = said.split("--encoder ")[1].strip()
        assert name == f"hub:me/frogs@{hub.repositories['me/frogs']['commits'][-1]}"
        assert hub.repositories["me/frogs"]["private"]
        assert load_encoder(name).labels == ["frog", "toad"]
        run("push", folder, "me/open", "--public")
        assert not hub.repositories["me/open"]["private"]
