"""The places recordings are made at: the groups of the built-in dataset, each with its split, its sound and the species it owns."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from callspace.datasets.synthetic.calls import SPECIES
from callspace.datasets.synthetic.seeding import generator

__all__ = ["N_SITES", "Place", "own_species", "place", "site_name", "split_of"]

N_SITES = 40

#: Ten sites in a row hold five of train, two of valid and three of test.
_SPLITS = ("train", "test", "train", "valid", "train", "test", "train", "valid", "train", "test")


@dataclass(frozen=True)
class Place:
    """What a site sounds like.

    Attributes
    ----------
    levels_db : dict[str, float]
        The level of each background heard there, the loudest near 0; two to four of the five.
    equaliser_db : tuple[float, ...]
        What the recorder does to the spectrum, at the frequencies of `callspace.datasets.synthetic.scenes.EQUALISER_HZ`.
    reverberation_s : float
        The time in which a sound dies away by 60 dB.
    """

    levels_db: dict[str, float]
    equaliser_db: tuple[float, ...]
    reverberation_s: float


def site_name(site: int) -> str:
    """The name of a site, its group in the tables."""
    return f"site-{site:02d}"


def split_of(site: int) -> str:
    """``train``, ``valid`` or ``test``: half, a fifth and three tenths of the sites, in a fixed pattern."""
    return _SPLITS[site % len(_SPLITS)]


@lru_cache(maxsize=1024)
def own_species(seed: int, site: int) -> str:
    """The one species that a site hosts when sites and species are wholly confounded.

    The sites of each split are dealt to the species in turn, so that every species has a site in every split.
    """
    order = generator(seed, "own-species").permutation(len(SPECIES))
    rank = sum(split_of(earlier) == split_of(site) for earlier in range(site))
    return SPECIES[order[rank % len(SPECIES)]]


@lru_cache(maxsize=1024)
def place(seed: int, site: int) -> Place:
    """The sound of a site."""
    rng = generator(seed, "site", site)
    names = np.array(["wind", "rain", "stream", "insects", "engine"])
    heard = rng.choice(names, size=rng.integers(2, 5), replace=False)
    levels = {str(name): float(rng.uniform(-14, 0)) for name in heard}
    loudest = max(levels.values())
    return Place(
        levels_db={name: level - loudest for name, level in levels.items()},
        equaliser_db=tuple(rng.normal(0, 2.5, 6).tolist()),
        reverberation_s=float(rng.uniform(0.10, 0.35)),
    )
