"""Random numbers that depend on names, never on the order of making."""

import zlib

import numpy as np

__all__ = ["generator"]


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A generator of its own for each ``(seed, *keys)``.

    What is made from it is the same in whatever order, process or number things are made.

    Parameters
    ----------
    seed : int
        Not negative.
    *keys : str | int
        What the numbers are for, such as ``"site", 7``; strings count by their CRC-32, integers may not be negative.
    """
    entropy = [seed, *(zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
