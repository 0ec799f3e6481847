import pytest

from callspace.bench.protocols import load_protocol, protocol_names
from callspace.errors import CallspaceError


def test_the_shipped_protocols_load():
    assert protocol_names() == ["fair", "paper", "quick"]
    fair, quick = load_protocol("fair"), load_protocol("quick")
    assert (fair.seeds, fair.recipe.learning_rates, fair.recipe.max_epochs, fair.recipe.patience) == (3, (5e-5, 5e-4), 30, 5)
    assert (quick.seeds, quick.recipe.max_epochs) == (1, 10)
    assert quick.front_end == fair.front_end == "logmel"


def test_quick_has_one_learning_rate_an_encoder():
    quick = load_protocol("quick")
    assert quick.recipe_for("resnet18:random").learning_rates == (5e-4,)
    assert quick.recipe_for("alexnet:random").learning_rates == (3e-4,)
    assert quick.recipe_for("alexnet").learning_rates == (1e-4,)
    assert quick.recipe_for("aves-bio").learning_rates == (5e-5,)


def test_a_users_copy_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(load_protocol("quick").text.replace('name = "quick"', 'name = "mine"').replace("seeds = 1", "seeds = 2"))
    assert (load_protocol(path).name, load_protocol(path).seeds) == ("mine", 2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("seeds = 1", "seeds = 0"), "seeds: Input should be greater than or equal to 1"),
        (("seeds = 1", "sedes = 1"), "there is no entry 'sedes' in a protocol; did you mean seeds"),
        (("[5e-4]", "[]"), "learning_rates"),
        (("seeds = 1", "seeds = "), "not valid TOML"),
    ],
)
def test_a_mistake_in_a_protocol_is_named(tmp_path, change, sentence):
    path = tmp_path / "mine.toml"
    text = load_protocol("quick").text
    path.write_text(text.replace(*change) if "sedes" not in change[1] else text.replace("seeds = 1", "seeds = 1\nsedes = 1"))
    with pytest.raises(CallspaceError, match=sentence):
        load_protocol(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("training.max_epoch=2", r"there is no entry 'training\.max_epoch' in a protocol; did you mean training\.max_epochs\?"),
        ("max_epochs=2", r"no entry 'max_epochs' in a protocol; did you mean training\.max_epochs\?"),
        ("training.seeds=3", r"no entry 'training\.seeds' in a protocol; did you mean seeds\?"),
        ("max_epoch=2", r"did you mean training\.max_epochs\?"),
        ("trainig.mixup=2", r"no entry 'trainig\.mixup' in a protocol; did you mean training\.mixup\?"),
        ("training.quux=1", r"no entry 'training\.quux' in a protocol; there are training\.learning_rates, "),
        ("quux=1", "there are name, seeds, .*those of training$"),
    ],
)
def test_an_entry_that_there_is_not_names_the_one_that_was_meant(change, sentence):
    with pytest.raises(CallspaceError, match=sentence):
        load_protocol("quick", [change])


def test_an_unknown_protocol_is_a_sentence():
    with pytest.raises(CallspaceError, match="choose fair, paper, quick"):
        load_protocol("swift")
