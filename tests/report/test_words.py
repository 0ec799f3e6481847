"""Regimes and background policies as the report says them."""

import pytest

from callspace.adaptation.regimes import REGIMES
from callspace.report.reading import changes_embedding, tunes
from callspace.report.sections import _symbol
from callspace.report.words import background_name, background_short, ordered_regimes, regime_name


@pytest.mark.parametrize(
    ("regime", "words"),
    [
        ("frozen", "frozen"),
        ("linear", "linear head"),
        ("last", "last block tuned"),
        ("last:3", "last 3 blocks tuned"),
        ("lora", "LoRA tuning"),
        ("lora:16", "LoRA tuning of rank 16"),
        ("lp-ft", "full fine-tuning after a probe"),
        ("of tomorrow", "of tomorrow"),
    ],
)
def test_regimes_have_words(regime: str, words: str) -> None:
    assert regime_name(regime) == words


def test_every_regime_has_words_and_a_mark_of_its_own_open_where_the_network_stays() -> None:
    assert len({regime_name(regime) for regime in REGIMES}) == len({_symbol(regime) for regime in REGIMES}) == len(REGIMES)
    assert {regime for regime in REGIMES if not _symbol(regime)[0].endswith("-open")} == {regime for regime in REGIMES if tunes(regime)}


def test_what_tunes_and_learnt_pooling_change_the_embedding() -> None:
    assert {regime for regime in REGIMES if tunes(regime)} == {"last", "lora", "full", "lp-ft", "decay", "gradual"}
    assert {regime for regime in REGIMES if changes_embedding(regime)} - {regime for regime in REGIMES if tunes(regime)} == {"attentive"}
    assert tunes("last:2") and tunes("lora:16") and not tunes("of tomorrow")


def test_regimes_stand_in_their_order_and_by_their_number() -> None:
    assert ordered_regimes(["full", "last:10", "new", "last:2", "frozen", "last"]) == ["frozen", "last", "last:2", "last:10", "full", "new"]


@pytest.mark.parametrize(
    ("background", "policy", "name", "short"),
    [
        (0.1, "share", "10 % of the background", "10 %"),
        (0.1, "hard", "the hardest 10 % of the background", "hardest 10 %"),
        (2.0, "ratio", "two background windows for each labelled one", "2 : 1"),
        (1.0, "share+class", "100 % of the background, background a class", "100 % + class"),
        (0.0, "clean-all", "background dropped from every split", "clean-all"),
        (None, "share", "", "–"),
    ],
)
def test_background_policies_have_words(background: float | None, policy: str, name: str, short: str) -> None:
    assert (background_name(background, policy), background_short(background, policy)) == (name, short)
