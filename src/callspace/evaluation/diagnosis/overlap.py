"""Pretraining overlap: has a network heard these very recordings before, with their labels or without?

A score on recordings that a network was trained on says less about new ones. What the published networks were trained on is known by
archive (Xeno-canto, Watkins, AudioSet, ...), not by recording. So there are three answers: it can't have heard them (it never heard a
recording: ``fine``); it may have (the data and its training come of one archive: ``look``); and anything else, which is not known
(``unmeasured``): that an archive is not named is no proof that its recordings were not heard.

The tables say of each row where it was read (``known_from``). Where nobody has, it is empty, and sentences say "is said to have been".
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from callspace.encoders.registry import RANDOM, is_known, spec
from callspace.evaluation.diagnosis.finding import Finding

__all__ = ["DATASETS", "ENCODERS", "Heard", "Origin", "can_have_heard", "heard_by", "origin_of_dataset", "overlap"]

_CHECK = "overlap"

XENO_CANTO, INATURALIST, WATKINS = "Xeno-canto", "iNaturalist", "the Watkins Marine Mammal Sound Database"
ANIMAL_SOUND_ARCHIVE, MACAULAY, SAPSUCKER = "the Animal Sound Archive Berlin", "the Macaulay Library", "Sapsucker Woods"
AUDIOSET, FREESOUND, VGGSOUND, YOUTUBE_8M = "AudioSet", "Freesound", "VGGSound", "YouTube-8M"
LIBRISPEECH, LIBRI_LIGHT, MLS = "LibriSpeech", "Libri-Light", "Multilingual LibriSpeech"
GIGASPEECH, VOXPOPULI, COMMON_VOICE, BABEL, VOXLINGUA = "GigaSpeech", "VoxPopuli", "Common Voice", "BABEL", "VoxLingua107"
WEB_SPEECH, UK_BATS = "speech from the web", "bats of the UK"

#: Where collections come from that were put together of others: two of one origin may share recordings.
_WITHIN = {
    AUDIOSET: "YouTube",
    VGGSOUND: "YouTube",
    YOUTUBE_8M: "YouTube",
    VOXLINGUA: "YouTube",
    LIBRISPEECH: "LibriVox",
    LIBRI_LIGHT: "LibriVox",
    MLS: "LibriVox",
}


@dataclass(frozen=True)
class Heard:
    """What a network was trained on.

    Attributes
    ----------
    archives : tuple of str
    labels : bool
        Whether with labels: species, captions or classes.
    said_by : str
        Who published it.
    known_from : str
        Where that was read; empty where it was not.
    """

    archives: tuple[str, ...]
    labels: bool
    said_by: str
    known_from: str = ""


@dataclass(frozen=True)
class Origin:
    """Where a dataset comes from.

    Attributes
    ----------
    archives : tuple of str
    known_from : str
        Where that was read; empty where it was not.
    by_name : bool
        Whether no more than the dataset's name says so.
    """

    archives: tuple[str, ...]
    known_from: str = ""
    by_name: bool = False


_CARD, _TORCHAUDIO, _MODULE = "its model card", "torchaudio's documentation", "the module of its family"
_AVES_README = "the README of AVES"
_AVES = "Hagiwara 2023, arXiv 2210.14493"
_ESP = "Miron et al. 2026, arXiv 2508.11845"
_BIO = (XENO_CANTO, INATURALIST, WATKINS, ANIMAL_SOUND_ARCHIVE)
_NATURELM = (*_BIO, SAPSUCKER, AUDIOSET, FREESOUND)
_BEATS, _EAT = "Chen et al. 2023, arXiv 2212.09058", "Chen et al. 2024, arXiv 2401.03497"
_LIGHT = (LIBRI_LIGHT, GIGASPEECH, VOXPOPULI)
_MANY = (VOXPOPULI, MLS, COMMON_VOICE, BABEL, VOXLINGUA)
_WAV2VEC2, _WAVLM, _HUBERT = (
    "Baevski et al. 2020, arXiv 2006.11477",
    "Chen et al. 2022, arXiv 2110.13900",
    "Hsu et al. 2021, arXiv 2106.07447",
)

#: Patterns of encoders' names, the first that fits; what was trained on images alone, on nothing, or on invented sounds is not here.
ENCODERS: tuple[tuple[str, Heard], ...] = (
    ("birdnet-*", Heard((XENO_CANTO, MACAULAY), True, "Kahl et al. 2021, Ecological Informatics 61")),
    ("perch-*", Heard((XENO_CANTO, INATURALIST, ANIMAL_SOUND_ARCHIVE, FREESOUND), True, "van Merriënboer et al. 2025, arXiv 2508.04665")),
    ("birdset-*", Heard((XENO_CANTO,), True, "Rauch et al. 2025, arXiv 2403.10380 (XCL)", "the card of BirdSet")),
    ("birdmae-*", Heard((XENO_CANTO,), False, "Rauch et al. 2025, arXiv 2504.12880 (XCL)")),
    ("birdaves-bioxn-*", Heard((XENO_CANTO, INATURALIST, FREESOUND, AUDIOSET, VGGSOUND), False, _AVES, _AVES_README)),
    ("birdaves-*", Heard((XENO_CANTO, FREESOUND, AUDIOSET, VGGSOUND), False, _AVES, _AVES_README)),
    ("aves-core", Heard((FREESOUND, AUDIOSET), False, _AVES, _AVES_README)),
    ("aves*", Heard((FREESOUND, AUDIOSET, VGGSOUND), False, _AVES, _AVES_README)),
    ("biolingual", Heard((*_BIO, FREESOUND, AUDIOSET), True, "Robinson et al. 2024, arXiv 2308.04978 (AnimalSpeak), after CLAP")),
    ("esp-aves2-naturelm-*", Heard(_NATURELM, True, "Robinson et al. 2025, arXiv 2411.07186", "the page of its training data")),
    ("esp-aves2-effnetb0-audioset", Heard((AUDIOSET,), True, _ESP, _MODULE)),
    ("esp-aves2-eat-bio", Heard(_BIO, False, _ESP)),
    ("esp-aves2-eat-all", Heard((*_BIO, AUDIOSET), False, _ESP)),
    ("esp-aves2-effnetb0-bio", Heard(_BIO, True, _ESP)),
    ("esp-aves2-*", Heard((*_BIO, AUDIOSET), True, _ESP)),
    ("batdetect2", Heard((UK_BATS,), True, "the package batdetect2", _MODULE)),
    ("yamnet", Heard((AUDIOSET,), True, "the model's page", _MODULE)),
    ("vggish", Heard((YOUTUBE_8M,), True, "Hershey et al. 2017, ICASSP", _MODULE)),
    ("beats-ft", Heard((AUDIOSET,), True, _BEATS, "the name of its weights (AS2M)")),
    ("beats", Heard((AUDIOSET,), False, _BEATS, "the name of its weights (AS2M)")),
    ("eat-*-ft", Heard((AUDIOSET,), True, _EAT, "the name of its weights (AS2M)")),
    ("eat-*", Heard((AUDIOSET,), False, _EAT)),
    ("ast", Heard((AUDIOSET,), True, "Gong et al. 2021, arXiv 2104.01778", _MODULE)),
    ("audiomae-ft", Heard((AUDIOSET,), True, "Huang et al. 2022, arXiv 2207.06405", _MODULE)),
    ("audiomae", Heard((AUDIOSET,), False, "Huang et al. 2022, arXiv 2207.06405", "the name of its weights (AS2M)")),
    ("dasheng-*", Heard((AUDIOSET, VGGSOUND), False, "Dinkel et al. 2024, Interspeech")),
    ("clap*", Heard((AUDIOSET, FREESOUND), True, "Wu et al. 2023, arXiv 2211.06687 (LAION-Audio-630K)")),
    ("whisper-*", Heard((WEB_SPEECH,), True, "Radford et al. 2023, arXiv 2212.04356", _CARD)),
    ("hubert-large", Heard((LIBRI_LIGHT,), False, _HUBERT, _TORCHAUDIO)),
    ("hubert-*", Heard((LIBRISPEECH,), False, _HUBERT, _TORCHAUDIO)),
    ("wav2vec2-xls-r-*", Heard(_MANY, False, "Babu et al. 2021, arXiv 2111.09296", _CARD)),
    ("wav2vec2-large-lv60", Heard((LIBRI_LIGHT,), False, _WAV2VEC2, _TORCHAUDIO)),
    ("wav2vec2-*", Heard((LIBRISPEECH,), False, _WAV2VEC2)),
    ("wavlm-base", Heard((LIBRISPEECH,), False, _WAVLM, _TORCHAUDIO)),
    ("wavlm-*", Heard(_LIGHT, False, _WAVLM, _CARD)),
    ("data2vec-audio-base-960h", Heard((LIBRISPEECH,), True, "Baevski et al. 2022, arXiv 2202.03555", _CARD)),
    ("data2vec-*", Heard((LIBRISPEECH,), False, "Baevski et al. 2022, arXiv 2202.03555")),
)

#: Trained, but on nothing that was ever recorded.
_INVENTED = ("callspace-small",)

_ESC50 = Origin((FREESOUND,), "the notebook of its paper")
_SOURCES = "BEANS's list of sources"
_BEANS: dict[str, Origin] = {
    "cbi": Origin((XENO_CANTO,)),
    "esc50": _ESC50,
    "speech_commands": Origin(("Speech Commands",), "its name"),
    "watkins": Origin((WATKINS,), _SOURCES),
}
#: Published datasets by the name that a user gives, word for word.
DATASETS: dict[str, Origin] = {
    **{f"beans/{name}": origin for name, origin in _BEANS.items()},
    **{f"beans/{name.replace('_', '-')}": origin for name, origin in _BEANS.items()},
    **{f"hf:DBD-research-group/beans_{name}": origin for name, origin in _BEANS.items()},
    "hf:DBD-research-group/BirdSet": Origin((XENO_CANTO,), "its card"),
    "hf:Loie/VGGSound": Origin((VGGSOUND,), "its card"),
    "hf:ashraq/esc50": _ESC50,
}
#: What a dataset's name may say, an underscore in it read as a space.
_NAMES: tuple[tuple[str, str], ...] = (
    (r"\bwatkins\b", WATKINS),
    (r"birdsong[ -]recognition|cornell[ -]birdcall|xeno[ -]?canto|\bbirdclef|\bbirdset\b", XENO_CANTO),
    (r"inaturalist|\binat[ -]?sounds?\b", INATURALIST),
    (r"animal[ -]sound[ -]archive|tierstimmenarchiv", ANIMAL_SOUND_ARCHIVE),
    (r"\bmacaulay\b", MACAULAY),
    (r"\besc[ -]?(50|10)\b|\bfsd50k\b|freesound|urbansound", FREESOUND),
    (r"\baudioset\b|\baudiocaps\b", AUDIOSET),
    (r"\bvggsound\b", VGGSOUND),
    (r"\blibrispeech\b", LIBRISPEECH),
    (r"\blibri[ -]?light\b", LIBRI_LIGHT),
)
_BUILT_IN = "built-in"


def can_have_heard(encoder: str) -> bool:
    """False where an encoder was trained on no recording: random weights, none, images, invented sounds."""
    if encoder.endswith(RANDOM) or encoder in _INVENTED:
        return False
    return not (is_known(encoder) and spec(encoder).pretraining in ("none", "image"))


def heard_by(encoder: str) -> Heard | None:
    """What a published encoder was trained on; None where it heard nothing that was recorded, or nothing is known."""
    if not can_have_heard(encoder):
        return None
    return next((heard for pattern, heard in ENCODERS if fnmatch.fnmatchcase(encoder, pattern)), None)


def origin_of_dataset(name: str, source: str = "") -> Origin:
    """Where a dataset comes from.

    Parameters
    ----------
    name : str
        The dataset's.
    source : str
        What it was read from. A published name counts word for word; of a path no folder counts, since nothing follows from how a user names
        theirs.

    Examples
    --------
    >>> origin_of_dataset("cbi", "beans/cbi (a folder)").archives
    ('Xeno-canto',)
    >>> origin_of_dataset("frogs", "/home/watkins/frogs").archives
    ()
    """
    for said in (source, name):
        published = said.split(" ")[0].split("@")[0]
        if published.startswith(("beans/", "hf:")):
            if (known := DATASETS.get(published)) is not None:
                return known
            if published.startswith("beans/"):
                return Origin(())
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1].removeprefix("hf:").casefold().replace("_", " ")
    archives = tuple(dict.fromkeys(archive for pattern, archive in _NAMES if re.search(pattern, last)))
    return Origin(archives, by_name=bool(archives))


def overlap(
    encoders: Iterable[str],
    name: str,
    source: str = "",
    *,
    tuned: Mapping[str, Mapping[str, Any]] | None = None,
    bases: Mapping[str, str] | None = None,
    dataset_fingerprint: str | None = None,
) -> list[Finding]:
    """One finding an encoder that may have heard the dataset in training, one for all that can't, one for all of which it is not known.

    Parameters
    ----------
    encoders
        Names as users write them, the published ones' without ``:random``.
    name, source : str
        The dataset's.
    tuned : mapping of encoder to mapping, optional
        Of encoders that were tuned before the run: ``tuned_on`` of their cards (dataset, source, dataset_fingerprint, before).
    bases : mapping of encoder to name, optional
        Of encoders that were tuned before the run: what they were tuned from.
    dataset_fingerprint : str, optional
        Of the run's data. An encoder that was tuned on data of the same fingerprint has learnt from their train split, with labels; one that
        was tuned on the same source otherwise, perhaps from what is test here.
    """
    own = origin_of_dataset(name, source)
    found: list[Finding] = []
    never: list[str] = []
    unknown: list[str] = []
    for encoder in dict.fromkeys(encoders):
        card = (tuned or {}).get(encoder) or {}
        times = _tunings(card) if card else []
        same = next((one for one in times if dataset_fingerprint and one.get("dataset_fingerprint") == dataset_fingerprint), None)
        other = next((one for one in times if source and one.get("source") == source and one is not same), None)
        heard = heard_by((bases or {}).get(encoder, encoder))
        if other is not None or same is not None:
            found.append(_of_tuned(encoder, other or same or {}, same_splits=other is None))
        elif heard is not None and (shared := _shared(own.archives, heard.archives)):
            found.append(_of_archives(encoder, heard, own, shared))
        elif source.startswith(_BUILT_IN) or not (times or can_have_heard(encoder)):
            never.append(encoder)
        else:
            unknown.append(encoder)
    if never:
        found.append(_of_never(never, invented=source.startswith(_BUILT_IN)))
    if unknown:
        found.append(_of_unknown(unknown, own))
    return found


def _shared(own: Iterable[str], heard: Iterable[str]) -> list[str]:
    """What two lists of archives have in common: an archive, or what two of them were put together of."""
    heard = set(heard)
    wider = {_WITHIN[archive] for archive in heard if archive in _WITHIN}
    found = [archive if archive in heard else _WITHIN[archive] for archive in own if archive in heard or _WITHIN.get(archive) in wider]
    return list(dict.fromkeys(found))


def _of_archives(name: str, heard: Heard, own: Origin, shared: list[str]) -> Finding:
    archives = " and ".join(shared)
    how = "with labels" if heard.labels else "without labels"
    trained = "was" if heard.known_from else "is said to have been"
    if own.by_name:
        data = "the data, whose name suggests that they come from there"
    else:
        data = f"these data, which {'come' if own.known_from else 'are said to come'} from there"
    sentence = (
        f"{name} {trained} trained on recordings of {archives}, {how} ({heard.said_by}): it may have heard some of {data}, which would "
        "flatter it against encoders that have not."
    )
    remedy = (
        "Trust its lead on new recordings only: compare on recordings of your own, or on ones younger than its training, and read its tuned "
        "scores against other encoders' with care."
    )
    evidence = {
        "archives": shared,
        "trained_on": heard.archives,
        "data_from": own.archives,
        "labels": heard.labels,
        "said_by": heard.said_by,
        "known_from": heard.known_from or "not checked",
    }
    return Finding(_CHECK, {"encoder": name}, "look", sentence, evidence, remedy)


def _of_tuned(name: str, before: Mapping[str, Any], *, same_splits: bool) -> Finding:
    what = before.get("source") or before.get("dataset")
    evidence = {"tuned_on": {key: before.get(key) for key in ("dataset", "source", "dataset_fingerprint", "regime")}}
    if same_splits:
        sentence = f"'{name}' was tuned on the train split of these very data before ({what}): what is called its frozen score is that of a tuned encoder."
        return Finding(
            _CHECK, {"encoder": name}, "look", sentence, evidence, "Compare it with other tuned encoders, not with the frozen ones."
        )
    sentence = f"'{name}' was tuned on the same source before ({what}), in other windows or splits: it may have been trained on what is its test here."
    remedy = "Test it on other recordings, split the data as they were split then, or start from the encoder it was tuned from."
    return Finding(_CHECK, {"encoder": name}, "problem", sentence, evidence, remedy)


def _of_never(names: list[str], *, invented: bool) -> Finding:
    why = "the data are built in, and their sounds invented" if invented else "none of them was trained on recorded sound"
    if len(names) == 1 and not invented:
        why = "it was not trained on recorded sound"
    return Finding(_CHECK, {}, "fine", f"{_listed(names)} can't have heard these recordings before: {why}.", {"encoders": names})


def _of_unknown(names: list[str], own: Origin) -> Finding:
    reason = (
        f"no list of what {'it was' if len(names) == 1 else 'they were'} trained on is known that names {' or '.join(own.archives)}"
        if own.archives
        else "where these recordings were published before, if they were, is not known"
    )
    heard = {name: list(known.archives) if (known := heard_by(name)) else None for name in names}
    sentence = f"Whether {_listed(names)} heard these recordings in training is not known: {reason}."
    remedy = "Recordings that were never published can't have been heard; otherwise compare on ones that are younger than the encoders."
    return Finding(_CHECK, {}, "unmeasured", sentence, {"encoders": names, "data_from": own.archives, "trained_on": heard}, remedy)


def _listed(names: list[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _tunings(tuned: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The last tuning of an encoder, and those before it."""
    return [tuned, *(tuned.get("before") or [])]
