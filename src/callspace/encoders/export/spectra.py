"""Fourier transforms and frames that an ONNX file can hold, in the place of torch's, while a network is traced.

ONNX has no complex numbers, and its own transforms are neither everywhere nor exact for lengths that are no power of two. So the transform
of N real numbers becomes two rounds of matrix products, N = rows x columns, with a turn of each number between them (J. W. Cooley and
J. W. Tukey, "An algorithm for the machine calculation of complex Fourier series", Mathematics of Computation 19, 1965): small tables, and
sums short enough that float32 loses no more than torch's own transform does. Frames are put together from pieces of one hop each.

`Formulation` is a mode: within ``with Formulation():`` whatever calls `torch.stft`, `torch.fft.rfft` or `Tensor.unfold` gets these, and
shapes are plain numbers, so that what is traced is for one shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["Formulation", "Spectrum", "factors", "rfft", "stft", "unfold"]


class Spectrum:
    """Complex numbers as two real tensors; knows what the front ends ask of a spectrum."""

    def __init__(self, real: Tensor, imag: Tensor) -> None:
        self.real, self.imag = real, imag
        self.shape = real.shape
        self.ndim = real.ndim

    def abs(self) -> Tensor:
        """Magnitudes."""
        return (self.real.square() + self.imag.square()).sqrt()

    def transpose(self, first: int, second: int) -> Spectrum:
        """With two axes exchanged."""
        return Spectrum(self.real.transpose(first, second), self.imag.transpose(first, second))

    def __getitem__(self, key: Any) -> Spectrum:
        return Spectrum(self.real[key], self.imag[key])

    def __abs__(self) -> Tensor:
        return self.abs()

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        spectrum: Spectrum = args[0]
        if func in (torch.abs, torch.absolute):
            return spectrum.abs()
        if func is torch.view_as_real:
            return torch.stack([spectrum.real, spectrum.imag], dim=-1)
        if func is torch.real:
            return spectrum.real
        if func is torch.imag:
            return spectrum.imag
        return NotImplemented


def factors(length: int) -> tuple[int, int]:
    """Two whole numbers, as near to each other as can be, whose product is `length`; the smaller first.

    Examples
    --------
    >>> factors(1600), factors(512), factors(7)
    ((40, 40), (16, 32), (1, 7))
    """
    smaller = next(number for number in range(math.isqrt(length), 0, -1) if length % number == 0)
    return smaller, length // smaller


def rfft(values: Tensor, length: int | None = None) -> Spectrum:
    """The transform of float32[..., n] as `torch.fft.rfft` has it, of ``length // 2 + 1`` bins; cut or filled up with zeros first."""
    size = values.shape[-1]
    length = length or size
    if size < length:
        values = torch.nn.functional.pad(values, (0, length - size))
    values = values[..., :length] if size > length else values
    rows, columns = factors(length)
    # Sample n = columns a + b, bin k = c + rows d: first the sum over a for each c, then the turn, then the sum over b for each d.
    inner, turn, outer = _turns(rows, rows, rows), _turns(rows, columns, length), _turns(columns, columns, columns)
    grid = values.unflatten(-1, (rows, columns))
    real, imag = (torch.matmul(part, grid) for part in inner)
    real, imag = real * turn[0] - imag * turn[1], real * turn[1] + imag * turn[0]
    real, imag = real @ outer[0] - imag @ outer[1], real @ outer[1] + imag @ outer[0]
    bins = length // 2 + 1
    return Spectrum(*(part.transpose(-1, -2).flatten(-2)[..., :bins] for part in (real, imag)))


def _turns(first: int, second: int, of: int) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of exp(-2 pi i jk / of) for j < first, k < second; the product is taken modulo `of`, so angles are exact."""
    product = torch.arange(first, dtype=torch.int64)[:, None] * torch.arange(second, dtype=torch.int64)
    angle = (product % of).double() * (-2 * math.pi / of)
    return angle.cos().float(), angle.sin().float()


def unfold(values: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """The windows of `size` every `step` along an axis, in an axis of their own at the end, as `Tensor.unfold` has it."""
    axis = dimension % values.ndim
    last = values.ndim - 1
    values = values.movedim(axis, last)
    count = 1 + (values.shape[-1] - size) // step
    # A window is so many pieces of one step each, the last of them cut: no table of indices is needed.
    pieces = -(-size // step)
    samples = (count - 1 + pieces) * step
    if values.shape[-1] < samples:
        values = torch.nn.functional.pad(values, (0, samples - values.shape[-1]))
    grid = values[..., :samples].unflatten(-1, (count - 1 + pieces, step))
    found = torch.cat([grid.narrow(-2, first, count) for first in range(pieces)], dim=-1)
    return found[..., :size].movedim(last, axis)  # counted from the front: torch's exporter takes no other


def stft(
    values: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Spectrum:
    """The short-time transform as `torch.stft` has it, of real waveforms, one-sided: float32[..., samples] to [..., bins, frames]."""
    if onesided is False or normalized or return_complex is False or align_to_window:
        raise NotImplementedError("a two-sided, normalised or real spectrum")
    hop_length, win_length = hop_length or n_fft // 4, win_length or n_fft
    window = torch.ones(win_length) if window is None else window
    before = (n_fft - win_length) // 2
    window = torch.nn.functional.pad(window, (before, n_fft - win_length - before))
    if center:
        lead = values.shape[:-1]
        flat = values.reshape(-1, 1, values.shape[-1])
        values = torch.nn.functional.pad(flat, (n_fft // 2, n_fft // 2), mode=pad_mode).reshape(*lead, -1)
    return rfft(unfold(values, -1, n_fft, hop_length) * window, n_fft).transpose(-1, -2)


def _fft_rfft(values: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Spectrum:
    if dim not in (-1, values.ndim - 1) or norm not in (None, "backward"):
        raise NotImplementedError("a transform along another axis, or a normalised one")
    return rfft(values, n)


def split(values: Tensor, sizes: int | list[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of the given sizes, or of one size but for the last; as `torch.split` has it."""
    length = values.shape[dim]
    if isinstance(sizes, int):
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)] or [0]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return tuple(values.narrow(dim, start, size) for start, size in zip(starts, sizes, strict=True))


def pad_sequence(sequences: list[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right") -> Tensor:
    """Sequences of one width as one tensor, filled up to the longest; as torch has it."""
    longest = max(values.shape[0] for values in sequences)
    filled = []
    for values in sequences:
        lacking = longest - values.shape[0]
        ends = (0, lacking) if padding_side == "right" else (lacking, 0)
        filled.append(torch.nn.functional.pad(values, (0, 0) * (values.ndim - 1) + ends, value=padding_value) if lacking else values)
    return torch.stack(filled, dim=0 if batch_first else 1)


def mean(values: Tensor, dim: Any = None, keepdim: bool = False, **more: Any) -> Tensor:
    """Means of many numbers, in float64: runtimes add float32 one after the other, and in a silent clip's spectrogram, which is one value
    in a hundred thousand places, the error of such a sum is taken for a sound.
    """
    dims = range(values.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    many = math.prod(values.shape[axis] for axis in dims) > _MANY and values.dtype == torch.float32
    found = torch.mean(values.double() if many else values, tuple(dims), keepdim=keepdim, **more)
    return found.float() if many else found


def adaptive_avg_pool2d(maps: Tensor, output_size: Any) -> Tensor:
    """Means over as many rows and columns as are asked for, of float32[..., height, width], as torch has it."""
    wanted = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    height, width = (size if want is None else want for want, size in zip(wanted, maps.shape[-2:], strict=True))
    return _means(height, maps.shape[-2]) @ maps @ _means(width, maps.shape[-1]).T


def _means(count: int, size: int) -> Tensor:
    """float32[count, size]: row i takes the mean from floor(i size / count) to ceil((i + 1) size / count)."""
    table = torch.zeros(count, size)
    for row in range(count):
        start, end = row * size // count, -(-(row + 1) * size // count)
        table[row, start:end] = 1 / (end - start)
    return table


_INSTEAD: dict[Any, Callable[..., Any]] = {
    torch.stft: stft,
    torch.Tensor.stft: stft,
    torch.fft.rfft: _fft_rfft,
    torch.Tensor.unfold: unfold,
    torch.Tensor.mean: mean,
    torch._C._nn.pad_sequence: pad_sequence,
    torch.Tensor.split: split,
    torch.split: split,
    torch.nn.functional.adaptive_avg_pool2d: adaptive_avg_pool2d,
}
#: So many numbers are added in float32 without harm.
_MANY = 1024
#: What tracing makes tensors of.
_SIZES = (torch.Tensor.shape.__get__, torch.Tensor.size, torch.Tensor.numel, torch.numel, torch.Tensor.__len__)  # type: ignore[attr-defined]


class Formulation(TorchFunctionMode):
    """Within it, transforms and frames are those of this module, and shapes plain numbers."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if (own := _INSTEAD.get(func)) is not None:
            with self:  # what it does is seen too: its shapes are plain numbers
                return own(*args, **(kwargs or {}))
        found = func(*args, **(kwargs or {}))
        if func not in _SIZES:
            return found
        return torch.Size([int(size) for size in found]) if isinstance(found, tuple) else int(found)
