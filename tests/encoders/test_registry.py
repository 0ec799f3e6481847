"""Names, specs and where the weights are said to come from."""

import subprocess
import sys

import pytest

from callspace.encoders import names, spec
from callspace.encoders.registry import find
from callspace.errors import CallspaceError


def test_every_name_has_a_spec_that_bears_it():
    assert {"mfcc", "alexnet", "resnet18", "resnet50", "resnet152", "yamnet", "aves", "aves-bio", "aves-core"} <= set(names())
    for name in names():
        assert spec(name).name == name
        assert spec(name).citation


@pytest.mark.parametrize(
    ("name", "pretraining"),
    [
        ("mfcc", "none"),
        ("alexnet", "image"),
        ("resnet152", "image"),
        ("yamnet", "audio"),
        ("aves", "bioacoustic"),
        ("aves-nonbio", "audio"),
    ],
)
def test_the_pretraining_of_published_weights_is_told(name, pretraining):
    assert spec(name).pretraining == pretraining


def test_published_weights_have_an_address_and_a_licence():
    for name in names():
        if name != "mfcc":
            weights = spec(name).weights
            assert weights.url.startswith("https://") or find(name).file.as_posix().endswith(weights.url)  # the package brings its own
            assert weights.licence
            assert weights.sha256 is None or weights.name.endswith(f"{weights.sha256}.pth") or len(weights.sha256) == 64


def test_random_weights_mean_no_pretraining_and_no_file():
    for name in names():
        if name != "mfcc" and spec(name).options.get("backend") is None:
            random = spec(f"{name}:random")
            assert (random.name, random.pretraining, random.weights) == (f"{name}:random", "none", None)


@pytest.mark.parametrize(
    ("typed", "meant"), [("resnet", "resnet18"), ("Alexnet", "alexnet"), ("yamnett:random", "yamnet"), ("ave", "aves")]
)
def test_a_name_that_is_none_is_answered_with_the_nearest(typed, meant):
    with pytest.raises(CallspaceError, match=f"did you mean .*{meant}"):
        spec(typed)


@pytest.mark.parametrize("typed", ["zzzzzz", "nonsense", "my_model.pt", ""])
def test_a_name_like_no_other_is_answered_with_where_all_are_listed(typed):
    with pytest.raises(CallspaceError, match="`callspace models list` shows all") as found:
        spec(typed)
    assert len(str(found.value)) < 160


@pytest.mark.parametrize(
    ("typed", "first"), [("eat", "eat-base"), ("BirdNET", "birdnet-v2.4"), ("wavlm", "wavlm-base"), ("esp-aves2", "esp-aves2-")]
)
def test_the_name_of_a_family_is_answered_with_its_members(typed, first):
    with pytest.raises(CallspaceError, match=f"did you mean {first}"):
        spec(typed)


def test_listing_the_names_imports_nothing_heavy():
    code = "import sys; from callspace.encoders import names; names(); sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
