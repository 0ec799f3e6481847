"""Splits that do not leak: whole groups go to train, valid or test, and every label is spread over them as evenly as they allow.

The method is iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011) over groups instead of single examples: the rarest
label is dealt out first, each of its groups to the split that lacks most of that label.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from callspace.datasets.dataset import SPLITS

__all__ = ["SHARES", "grouped_splits", "straddling_groups"]

SHARES = {"train": 0.6, "valid": 0.2, "test": 0.2}
# A label in as few groups as there are splits must still be learnt from and tested on.
_FIRST_NEEDED = ("train", "test", "valid")


def grouped_splits(
    groups: Sequence[str], labels: Sequence[Sequence[str]], *, seed: int = 0, shares: dict[str, float] = SHARES
) -> list[str]:
    """The split of each window: grouped, stratified, seeded.

    Parameters
    ----------
    groups : sequence of str
        The group of each window.
    labels : sequence of sequences of str
        The labels of each window; none counts as a label of its own (background).
    seed : int
    shares : dict
        The share of each label's windows that each split should get.

    Returns
    -------
    list of "train", "valid" or "test", one a window
    """
    content: dict[str, Counter[str | None]] = defaultdict(Counter)
    for group, names in zip(groups, labels, strict=True):
        held: list[str | None] = [*names]
        content[group].update(held or [None])
    order = sorted(content)
    np.random.default_rng(seed).shuffle(order)
    holders: Counter[str | None] = Counter(label for counts in content.values() for label in counts)
    total: Counter[str | None] = Counter()
    for counts in content.values():
        total.update(counts)
    need = {split: {label: share * count for label, count in total.items()} for split, share in shares.items()}
    placed: dict[str, str] = {}
    for label in sorted(holders, key=lambda name: (holders[name], str(name))):
        waiting = [group for group in order if label in content[group] and group not in placed]
        # The largest first: what they unbalance, the small ones can still mend. The sort keeps the shuffled order among equals.
        waiting.sort(key=lambda group: -content[group][label])
        for position, group in enumerate(waiting):
            split = _neediest(label, len(waiting) - position, need, placed, content)
            placed[group] = split
            for name, count in content[group].items():
                need[split][name] -= count
    return [placed[group] for group in groups]


def _neediest(
    label: str | None,
    remaining: int,
    need: dict[str, dict[str | None, float]],
    placed: dict[str, str],
    content: dict[str, Counter[str | None]],
) -> str:
    lacking = [split for split in _FIRST_NEEDED if split in need and not any(s == split and label in content[g] for g, s in placed.items())]
    if lacking and remaining <= len(lacking):
        return lacking[0]
    return max(need, key=lambda split: (need[split][label], sum(need[split].values()), -SPLITS.index(split)))


def straddling_groups(groups: Sequence[str], splits: Sequence[str | None]) -> list[str]:
    """Groups whose windows lie in more than one split, in order of name."""
    where: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        if split is not None:
            where[group].add(split)
    return sorted(group for group, held in where.items() if len(held) > 1)
