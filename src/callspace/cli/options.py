"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callspace.errors import CallspaceError

if TYPE_CHECKING:
    from callspace.adaptation.background import BackgroundPolicy
    from callspace.datasets import Dataset
    from callspace.encoders.contract import Encoder
    from callspace.progress import Progress

_DATA = "How the data is read"
_WINDOWS = "Windows"
_SPLITS = "Train, valid and test"

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder of class folders, a table of clips, a folder of soundscapes (with --annotations), 'beans/NAME', 'hf:ID', or 'demo'.",
        show_default=False,
    ),
]
Annotations = Annotated[
    str | None,
    typer.Option(
        "--annotations",
        "-a",
        metavar="PATH",
        help="Table of path, onset_s, offset_s, label; or Raven, Audacity and other files, or their folder. Unlabelled time is background.",
        rich_help_panel=_DATA,
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="Of the annotations: raven, audacity, ...; told by content.", rich_help_panel=_DATA),
]
Window = Annotated[
    float | None, typer.Option("--window", metavar="SECONDS", help="What an encoder is given at once.", rich_help_panel=_WINDOWS)
]
Hop = Annotated[
    float | None, typer.Option("--hop", metavar="SECONDS", help="Between the onsets of a soundscape's windows.", rich_help_panel=_WINDOWS)
]
Windows = Annotated[
    str,
    typer.Option(
        "--windows", metavar="grid|events", help="Every hop, or one centred on each annotation, and background.", rich_help_panel=_WINDOWS
    ),
]
MinOverlap = Annotated[
    float,
    typer.Option(
        "--min-overlap",
        metavar="SHARE",
        help="A label is on where annotation and window overlap by more than this share of the shorter.",
        rich_help_panel=_WINDOWS,
    ),
]
Chunk = Annotated[
    float | None,
    typer.Option("--chunk", metavar="SECONDS", help="Window each stretch of this length by itself (BEANS: 60).", rich_help_panel=_WINDOWS),
]
BackgroundWindows = Annotated[
    int | None,
    typer.Option(
        "--background-windows",
        metavar="N",
        help="With --windows events: how many from unlabelled time; as many as the mean label has otherwise.",
        rich_help_panel=_WINDOWS,
    ),
]
Speed = Annotated[
    float,
    typer.Option(
        "--speed",
        metavar="FACTOR",
        help="How fast encoders hear it: 0.1 slows ultrasound tenfold, 10 speeds infrasound up. Times stay the recordings'.",
        rich_help_panel=_WINDOWS,
    ),
]
Band = Annotated[
    bool,
    typer.Option("--band", help="With --windows events: only the annotation's low to high frequency is heard.", rich_help_panel=_WINDOWS),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group", metavar="COLUMN", help="What must not lie in both train and test (recording, individual, site).", rich_help_panel=_SPLITS
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="COLUMN",
        help="Column of train, valid, test, if it is not 'split'; of beans/NAME: official or grouped.",
        rich_help_panel=_SPLITS,
    ),
]
FoldColumn = Annotated[
    str | None, typer.Option("--fold-column", metavar="COLUMN", help="Column of folds, if it is not 'fold'.", rich_help_panel=_SPLITS)
]
TestFold = Annotated[
    int | None,
    typer.Option("--test-fold", metavar="N", help="The fold that is the test split; the next one is valid.", rich_help_panel=_SPLITS),
]
SplitBy = Annotated[
    str | None,
    typer.Option(
        "--split-by",
        metavar="WHAT",
        help="Make splits anew by group, site, date, recorder, recording, or by time within each recording.",
        rich_help_panel=_SPLITS,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        metavar="K",
        help="Make K folds of whole groups, where none are given; --test-fold says which one is the test split.",
        rich_help_panel=_SPLITS,
    ),
]
TestedFolds = Annotated[
    str | None,
    typer.Option(
        "--folds",
        metavar="K|all",
        help="Cross-validate: each given fold is the test split once; K makes K folds of whole groups, where none are given.",
        rich_help_panel=_SPLITS,
    ),
]
Shots = Annotated[
    int | None, typer.Option("--shots", metavar="K", help="Few-shot: keep K training windows a label.", rich_help_panel=_SPLITS)
]
PathColumn = Annotated[
    str | None, typer.Option("--path-column", metavar="COLUMN", help="Column of the recordings' paths.", rich_help_panel=_DATA)
]
LabelColumn = Annotated[str | None, typer.Option("--label-column", metavar="COLUMN", help="Column of the labels.", rich_help_panel=_DATA)]
Channel = Annotated[
    int | None,
    typer.Option("--channel", metavar="N", min=1, help="The channel to read, from 1; all are averaged otherwise.", rich_help_panel=_DATA),
]
Rate = Annotated[
    int | None, typer.Option("--rate", metavar="HZ", help="For encoders without a sample rate of their own.", rich_help_panel=_DATA)
]
Unlisted = Annotated[
    str,
    typer.Option(
        "--unlisted", metavar="skip|background", help="What becomes of soundscapes that no annotation names.", rich_help_panel=_DATA
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad recording instead of listing it.", rich_help_panel=_DATA)]
Confound = Annotated[
    float,
    typer.Option(
        "--confound",
        metavar="0..1",
        min=0,
        max=1,
        help="Of the built-in data: 0, every species at every site, to 1, one each.",
        rich_help_panel=_DATA,
    ),
]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="cpu, cuda, mps; the best there is otherwise.")]
WeightsOption = Annotated[
    list[str] | None, typer.Option("--weights", metavar="NAME=FILE", help="Published weights that you have as a file; may be repeated.")
]


Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer", metavar="LAYER", help="Where embeddings are read: 6, or 4,8,12, or all, or NAME=6 for one encoder; may be repeated."
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change an entry of the protocol, such as training.max_epochs=15; may be repeated."),
]
Augment = Annotated[str | None, typer.Option("--augment", metavar="LEVEL", help="off, light or strong; the protocol's otherwise.")]
Tune = Annotated[
    int | None,
    typer.Option("--tune", metavar="N", min=0, help="Search for a better recipe in N trials, on valid alone (needs Optuna)."),
]
Devices = Annotated[int | None, typer.Option("--devices", metavar="N", min=1, help="So many devices share each batch of a fit.")]
Layer = Annotated[
    str | None, typer.Option("--layer", metavar="LAYER", help="Where the embedding is read, such as 6; the encoder's own otherwise.")
]
Pools = Annotated[
    list[str] | None,
    typer.Option("--pool", metavar="POOL", help="mean, max, mean+max or cls, where the encoder has it, or NAME=max; may be repeated."),
]
Pool = Annotated[str | None, typer.Option("--pool", metavar="POOL", help="mean, max, mean+max or cls, where the encoder has it.")]


def by_encoder(texts: list[str] | None, option: str) -> str | dict[str, str] | None:
    """'6' from ['6']; {'aves': '6'} from ['aves=6']; None from nothing."""
    named = dict(text.rsplit("=", 1) for text in texts or [] if "=" in text)
    plain = [text for text in texts or [] if "=" not in text]
    if (plain and named) or (len(plain) > 1 and option == "--pool"):
        raise CallspaceError(f"{option} takes one for all encoders, or NAME=... for each, not both ({', '.join(texts or [])})")
    return named or (",".join(plain) if plain else None)


def layers_of(encoder: Encoder, text: str) -> list[str]:
    """The layers of an encoder that 'all' or '4,8,layer12' name."""
    return list(encoder.spec.layers) if text == "all" else [encoder.at(layer).layer for layer in comma_list(text)]


def folds_to_make(text: str | None, split_by: str | None, test_fold: int | None) -> int | None:
    """How many folds `bench --folds` asks for: 5 of '5', None of 'all'."""
    if text == "all" and test_fold is not None:
        raise CallspaceError(f"--folds all tests each fold once, --test-fold {test_fold} one of them: leave one of the two out")
    if text == "all" and split_by is not None:
        raise CallspaceError(
            f"--folds all takes the folds that are given: to make folds with --split-by {split_by}, give their number, such as --folds 5"
        )
    if text is None or text == "all":
        return None
    if not text.isascii() or not text.isdigit():
        raise CallspaceError(f"--folds takes a number of folds to make, such as 5, or 'all' for those that are given, not '{text}'")
    return int(text)


def comma_list(text: str) -> list[str]:
    """'a, b,c' as ['a', 'b', 'c']."""
    return [item.strip() for item in text.split(",") if item.strip()]


def shares(text: str) -> list[BackgroundPolicy]:
    """Background policies from '1,0.1,ratio:2,hard:0.1+class'; whether the protocol has each is checked with the other factors."""
    from callspace.adaptation.background import parse_policy

    return [parse_policy(item, clean_all_allowed=True) for item in comma_list(text)]


def all_changes(changes: list[str] | None, augment: str | None, tune: int | None, devices: int | None) -> list[str]:
    """What --set and its short forms change in the protocol."""
    short = {"augment": augment, "trials": tune, "devices": devices}
    return [*(changes or []), *(f"training.{name}={value}" for name, value in short.items() if value is not None)]


def weights_by_name(pairs: list[str] | None) -> dict[str, str]:
    """{'yamnet': 'yamnet.tflite'} from ['yamnet=yamnet.tflite']."""
    found: dict[str, str] = {}
    for pair in pairs or []:
        name, equals, file = pair.partition("=")
        if not equals or not name or not file:
            raise CallspaceError(f"--weights takes NAME=FILE, such as yamnet=yamnet.tflite, not '{pair}'")
        if not Path(file).expanduser().exists():
            raise CallspaceError(f"--weights {pair}: there is no file '{file}'")
        found[name] = file
    return found


def weights_of(encoder: str, pairs: list[str] | None) -> str | None:
    """The file given for the one encoder of a command."""
    found = weights_by_name(pairs)
    if others := sorted(set(found) - {encoder}):
        raise CallspaceError(f"weights are given for '{others[0]}', but the encoder is '{encoder}'")
    return found.get(encoder)


def read_dataset(source: str, annotations: str | None, progress: Progress, **options: Any) -> Dataset:
    """`load_dataset` with the command line's channel, which counts from 1."""
    from callspace.datasets import load_dataset

    channel = options.pop("channel", None)
    return load_dataset(source, annotations, channel=None if channel is None else channel - 1, progress=progress, **options)
