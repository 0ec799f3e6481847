"""``callspace doctor``: whether this machine has what callspace needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil

import typer

__all__ = ["doctor"]

_PACKAGES = (
    "torch",
    "transformers",
    "lightning-fabric",
    "soundfile",
    "soxr",
    "scikit-learn",
    "umap-learn",
    "openTSNE",
    "pyarrow",
    "plotly",
    "pandas",
)
_OPTIONAL = {"pandas"}


def doctor() -> None:
    """Check versions, devices, audio formats, the cache folder and its space."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    problems = 0
    for name, found, fine in [*_versions(), *_devices(), *_formats(), *_cache()]:
        problems += not fine
        table.add_row("[green]ok[/]" if fine else "[red]no[/]", name, found)
    Console().print(table)
    typer.echo("Nothing is missing." if not problems else f"{problems} to mend: see the lines that begin with 'no'.")
    if problems:
        raise typer.Exit(1)


def _versions() -> list[tuple[str, str, bool]]:
    from callspace import __version__

    rows = [("callspace", f"{__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}", True)]
    for name in _PACKAGES:
        try:
            rows.append((name, importlib.metadata.version(name), True))
        except importlib.metadata.PackageNotFoundError:
            rows.append((name, f"not installed: pip install {name}", name in _OPTIONAL))
    return rows


def _devices() -> list[tuple[str, str, bool]]:
    import torch

    from callspace.embedding.pipeline import choose_device

    rows = [("processor", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads", True)]
    if torch.cuda.is_available():
        rows += [(f"cuda:{n}", torch.cuda.get_device_name(n), True) for n in range(torch.cuda.device_count())]
    return [*rows, ("device", f"{choose_device()} is used unless --device says otherwise", True)]


def _formats() -> list[tuple[str, str, bool]]:
    import soundfile

    have = soundfile.available_formats()
    wanted = [name for name in ("WAV", "FLAC", "OGG", "MP3", "AIFF", "RF64") if name in have]
    rows = [("audio", f"{', '.join(wanted)} ({soundfile.__libsndfile_version__})", len(wanted) == 6)]
    for name in ("torchvision", "torchaudio"):
        if importlib.util.find_spec(name) is not None:
            try:
                importlib.import_module(name)
            except Exception as error:  # a broken wheel raises whatever it likes
                rows.append(
                    (name, f"installed but broken, which breaks transformers too: pip uninstall {name} ({type(error).__name__})", False)
                )
    return rows


def _cache() -> list[tuple[str, str, bool]]:
    from callspace.paths import cache_folder

    folder = cache_folder()
    existing = next(parent for parent in [folder, *folder.parents] if parent.exists())
    free = shutil.disk_usage(existing).free / 2**30
    writable = os.access(existing, os.W_OK)
    what = f"{folder}, {free:.0f} GiB free" + ("" if writable else ": not writable, set CALLSPACE_CACHE to another folder")
    return [("cache", what, writable and free > 1)]
