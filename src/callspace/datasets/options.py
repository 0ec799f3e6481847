"""What a user may say about a dataset, checked once."""

from __future__ import annotations

from dataclasses import dataclass

from callspace.errors import CallspaceError

__all__ = ["DatasetOptions"]


@dataclass(frozen=True)
class DatasetOptions:
    """The keyword options of `load_dataset`, which documents them."""

    window_s: float | None = None
    hop_s: float | None = None
    split: str | None = None
    group: str | None = None
    fold: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    test_fold: int | None = None
    channel: int | None = None
    sample_rate_hz: int | None = None
    unlisted: str = "skip"
    seed: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        for name, value in (("window", self.window_s), ("hop", self.hop_s)):
            if value is not None and not 0 < value < 3600:
                raise CallspaceError(f"the {name} must be longer than 0 s and shorter than an hour, not {value:g} s")
        if self.unlisted not in ("skip", "background"):
            raise CallspaceError(f"unlisted recordings are either 'skip'ped or 'background', not '{self.unlisted}'")
        if self.sample_rate_hz is not None and not 1000 <= self.sample_rate_hz <= 1_000_000:
            raise CallspaceError(f"the rate must lie between 1,000 and 1,000,000 Hz, not {self.sample_rate_hz}")
