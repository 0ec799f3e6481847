"""A tuned encoder goes to the Hugging Face hub on request, and comes back by its name; the hub is a web server on this machine."""

import json

import pytest
import torch

from callspace import load_encoder
from callspace.encoders import registry
from callspace.encoders.export.hub import push_to_hub
from callspace.encoders.heads import LinearHead
from callspace.errors import CallspaceError, MissingWeightsError
from mimicked_hub import mimicked_hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with mimicked_hub(monkeypatch, tmp_path / "cache") as hub:
        yield hub


def saved(name, tmp_path):
    encoder = load_encoder(name, sample_rate_hz=8_000)
    encoder.head, encoder.labels = LinearHead(encoder.spec.embedding_dim, 2), ["frog", "toad"]
    before = [{"dataset": "swamp", "source": str(tmp_path / "swamp"), "regime": "lora"}]
    card = {"dataset": "pond", "source": str(tmp_path), "window_s": 1.0, "before": before}
    return encoder.save(tmp_path / "tuned", card)


@pytest.fixture
def folder(tmp_path):
    return saved("mfcc", tmp_path)


@pytest.fixture
def logged_in(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)


@pytest.mark.usefixtures("logged_in")
def test_what_is_pushed_comes_back_by_its_name_and_commit(hub, tmp_path):
    folder = saved("resnet18:random", tmp_path)
    address = push_to_hub(folder, "me/frogs")
    repository = hub.repositories["me/frogs"]
    assert repository["private"]
    assert sorted(repository["files"]) == [".gitattributes", "README.md", "card.json", "head.safetensors", "model.safetensors"]
    commit = address.rpartition("/")[2]
    assert commit == repository["commits"][-1]
    here = load_encoder(folder)
    clip = torch.randn(1, 8_000)
    for name in (f"hub:me/frogs@{commit}", "hub:me/frogs"):
        there = load_encoder(name)
        assert (there.labels, there.fingerprint()) == (here.labels, here.fingerprint())
        with torch.no_grad():
            assert torch.equal(there.head(there(clip)), here.head(here(clip)))


@pytest.mark.usefixtures("logged_in")
def test_only_the_encoder_goes_without_the_place_of_the_recordings(hub, folder, tmp_path):
    (folder / "notes.txt").write_text("where the last owls nest")
    push_to_hub(folder, "me/frogs", private=False)
    repository = hub.repositories["me/frogs"]
    assert not repository["private"]
    assert "notes.txt" not in repository["files"]
    card = json.loads(repository["files"]["card.json"])["card"]
    assert card == {"dataset": "pond", "window_s": 1.0, "before": [{"dataset": "swamp", "regime": "lora"}]}
    assert str(tmp_path).encode() not in repository["files"]["card.json"]
    assert str(tmp_path).encode() not in repository["files"]["README.md"]
    assert load_encoder(folder).card["source"] == str(tmp_path)


@pytest.mark.usefixtures("logged_in")
def test_a_second_push_is_another_commit_and_a_branch_can_be_named(hub, folder):
    first, second = (push_to_hub(folder, "me/frogs", revision=revision) for revision in (None, "trial"))
    assert first != second
    assert hub.repositories["me/frogs"]["branches"] == ["main", "trial"]


@pytest.mark.usefixtures("logged_in")
def test_an_encoder_that_was_fetched_is_not_asked_for_again(hub, folder):
    push_to_hub(folder, "me/frogs")
    load_encoder("hub:me/frogs")
    asked = len(hub.asked)
    load_encoder("hub:me/frogs")
    assert len(hub.asked) == asked


@pytest.mark.usefixtures("logged_in")
def test_a_repository_that_holds_something_else_is_left_alone(hub, folder):
    hub.put("me/thesis", **{"thesis.tex": b"years of work"})
    with pytest.raises(CallspaceError, match=r"me/thesis holds something else \(thesis\.tex\)"):
        push_to_hub(folder, "me/thesis")
    assert list(hub.repositories["me/thesis"]["files"]) == ["thesis.tex"]


def test_who_is_not_logged_in_is_told_how_to_and_nothing_is_asked(hub, folder):
    with pytest.raises(CallspaceError, match=r"nobody is logged in .* `hf auth login`"):
        push_to_hub(folder, "me/frogs")
    assert hub.asked == []


def test_a_token_can_be_given(hub, folder):
    push_to_hub(folder, "me/frogs", token=hub.token)
    with pytest.raises(CallspaceError, match=r"was not put on the hub: the token is not one that the hub knows"):
        push_to_hub(folder, "me/frogs", token="hf_other")


@pytest.mark.usefixtures("logged_in")
@pytest.mark.parametrize(
    ("status", "words"), [(403, "this account, or this token, may not write to me/frogs"), (418, r"the hub answered 418 \(so it is\)")]
)
def test_what_the_hub_refuses_is_a_sentence(hub, folder, status, words):
    hub.refuse = {"/api/repos/create": status}
    with pytest.raises(CallspaceError, match=words):
        push_to_hub(folder, "me/frogs")


@pytest.mark.usefixtures("logged_in")
def test_a_hub_that_is_not_there_is_a_sentence(folder, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CallspaceError, match=r"was not put on the hub: the hub can't be reached"):
        push_to_hub(folder, "me/frogs")


@pytest.mark.usefixtures("logged_in")
def test_weights_that_are_not_for_commercial_use_go_only_when_that_is_accepted(hub, tmp_path, monkeypatch):
    from dataclasses import replace

    from callspace.encoders.specs import Weights

    def find_closed(name):
        own = registry.find("mfcc")
        weights = Weights("https://example.org/net.pth", "CC BY-NC 4.0", terms="non-commercial")
        return replace(own, spec=replace(own.spec, name="closed", weights=weights)) if name == "closed" else None

    monkeypatch.setattr(registry, "find_closed", find_closed, raising=False)
    monkeypatch.setattr(registry, "ELSEWHERE", ("callspace.encoders.registry:find_closed",))
    entry = find_closed("closed")
    folder = entry.build(entry.spec).bind(8_000).save(tmp_path / "closed")
    with pytest.raises(CallspaceError, match=r"CC BY-NC 4\.0; commercial use .* --yes"):
        push_to_hub(folder, "me/closed")
    assert hub.asked == []
    push_to_hub(folder, "me/closed", licence_accepted=True)
    assert b'license: "cc-by-nc-4.0"' in hub.repositories["me/closed"]["files"]["README.md"]


@pytest.mark.parametrize("name", ["frogs", "me/my frogs", "a/b/c", ""])
def test_a_wrong_name_is_refused(hub, folder, name):
    with pytest.raises(CallspaceError, match="write USER/NAME"):
        push_to_hub(folder, name)


def test_a_folder_that_is_no_encoder_is_refused(hub, tmp_path):
    with pytest.raises(CallspaceError, match="is not a saved encoder"):
        push_to_hub(tmp_path, "me/frogs")


def test_a_repository_without_an_encoder_does_not_load(hub):
    hub.put("her/photos", **{"cat.jpg": b""})
    hub.put("her/other", **{"card.json": b"[1]"})
    with pytest.raises(MissingWeightsError, match=r"has no file 'card\.json'"):
        load_encoder("hub:her/photos")
    with pytest.raises(CallspaceError, match=r"'hub:her/other' is not a tuned encoder"):
        load_encoder("hub:her/other")
    with pytest.raises(MissingWeightsError, match="the hub has no repository her/nothing"):
        load_encoder("hub:her/nothing")
    with pytest.raises(CallspaceError, match="write hub:USER/NAME"):
        load_encoder("hub:photos")


@pytest.mark.usefixtures("logged_in")
def test_exchanged_weights_are_not_loaded(hub, folder):
    push_to_hub(folder, "me/frogs")
    files = hub.repositories["me/frogs"]["files"]
    files["card.json"] = files["card.json"].replace(load_encoder(folder).fingerprint().encode(), b"0" * 16)
    with pytest.raises(CallspaceError, match=r"does not hold the weights that card\.json describes"):
        load_encoder("hub:me/frogs")
