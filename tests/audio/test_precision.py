"""Front ends compute in single precision, whatever the network behind them is run in."""

import pytest
import torch
from torch import nn

from callspace.audio.kaldi import KaldiFbank
from callspace.audio.mel import MelSpectrogram
from callspace.audio.precision import in_float32
from callspace.encoders.families.mfcc import Mfcc
from callspace.encoders.families.whisper import WhisperMel
from callspace.encoders.families.yamnet import LogMel
from callspace.encoders.spectrograms import Spectrograms

FRONT_ENDS = {
    "mel": lambda: MelSpectrogram(16_000, 512, 160, 64),
    "kaldi": lambda: KaldiFbank(16_000, 128),
    "yamnet": LogMel,
    "mfcc": lambda: Mfcc(16_000),
    "logmel": lambda: Spectrograms(16_000),
    "power": lambda: Spectrograms(16_000, "power"),
    "whisper": lambda: WhisperMel(80, 32_000),
}


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_a_front_end_is_the_same_to_the_bit_inside_of_autocast(name, precision):
    front_end, clips = FRONT_ENDS[name](), 0.1 * torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    plain = front_end(clips)
    with torch.autocast("cpu", dtype=precision):
        found = front_end(clips)
    assert found.dtype == torch.float32
    assert torch.equal(found, plain)


def test_without_the_guard_it_would_not_be():
    bank, clips = torch.rand(64, 64), torch.rand(2, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not torch.equal((clips @ bank).float(), torch.mm(clips.double(), bank.double()).float())
        assert (clips @ bank).dtype == torch.bfloat16


def test_what_comes_in_half_precision_is_computed_in_single():
    class Squares(nn.Module):
        @in_float32
        def forward(self, values):
            assert not torch.is_autocast_enabled("cpu")
            return values @ values.T

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Squares()(torch.ones(2, 2, dtype=torch.bfloat16)).dtype == torch.float32
        assert torch.is_autocast_enabled("cpu")
