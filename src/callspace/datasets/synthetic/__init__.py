"""The built-in dataset: invented animals in invented places, made at first use from a seed, without a download.

It serves to try callspace, to test it, and to dial what real sets do not let one dial: how far sites and species are confounded, how much
background there is, how loud it is. It says nothing about real animals; none of its species exists.

The species
-----------
Each animal has its own frequencies, rates and durations, drawn once in the ranges below; each of its calls wanders about them by a few per
cent. Each site has two animals a species, so that no animal is heard in two splits. The bands overlap: the mean spectrum tells little, the
course of the sound within a call tells much.

============  =================  ==========  ==============  ===================================================================
species       call type          seconds     main band, kHz  parameters of an animal
============  =================  ==========  ==============  ===================================================================
brass-marmot  harmonic stack     0.15-0.50   1.2-4.8         fundamental 450-850 Hz, arched by 6-22 %; loudest at 1.7-3.3 kHz
couplet-lark  two-part song      0.27-0.53   1.5-4.0         a note that falls from 2.5-3.7 kHz by 1.4-1.9 times; 20-50 ms; trill
glass-thrush  whistle            0.18-0.54   2.3-3.9         2.3-3.9 kHz, drifting by about 1 %
lift-warbler  frequency sweep    0.15-0.45   1.6-4.6         rises from 1.6-2.2 kHz by 1.5-2.1 times; a faint octave above
rasp-wren     buzz               0.15-0.50   1.5-6.0         noise over 1-1.5 octaves, chopped 60-110 times a second
ratchet-frog  pulse train        0.27-0.57   1.6-5.3         4-6 damped knocks, 10-14 a second, at 1.6-2.8 kHz and 1.5-1.9 times
rattle-finch  trill              0.20-0.58   2.4-4.5         notes falling by 1.25-1.6 times about 2.7-3.9 kHz, 16-26 a second
tick-bat      clicks             0.12-0.58   2.5-6.0         6-13 clicks of 4-7 ms from 5.2-7.4 to 1.7-3 kHz, faster and faster
============  =================  ==========  ==============  ===================================================================

The places
----------
Forty sites, twenty in train, eight in valid and twelve in test, each with two to four of wind, rain, stream, insects and engine at levels of
its own, an equaliser and a reverberation; each recording adds its own gain (peak from -20 to -1 dB) and bends the equaliser. Every background
holds events that resemble calls: creaks (buzz), drips (pulses), gurgles (sweep), stridulation (trill, buzz), squeals (whistle).

Distance, signal-to-noise ratio and extent
------------------------------------------
An animal calls from 2 to 63 m: lower level, duller sound and more echo the farther. The ratio written in the tables is
``10 log10(energy of the call / energy of the background)`` in the recording, both over the call's extent (onset to offset: all but the first
and the last 0.5 % of the received call's energy) and over all frequencies; it lies between -6 and 24 dB. In the detection set about one call
in eight begins during the one before; the ratio leaves such neighbours out. `callspace.datasets.synthetic.scenes` gives the parts.

Sets
----
``detection``: 40 recordings of 12 s with 9 to 15 calls; about half of the windows of 0.5 s hold none. ``classification``: 320 clips of 1 s
with one call each. Recording `k` depends on the seed, the task, `k` and `confound` alone. Licence: CC0.
"""

from callspace.datasets.synthetic.calls import SAMPLE_RATE_HZ, SPECIES
from callspace.datasets.synthetic.folders import DEFAULT_RECORDINGS, TABLES, VERSION, built_in, generate
from callspace.datasets.synthetic.sites import N_SITES

__all__ = ["DEFAULT_RECORDINGS", "N_SITES", "SAMPLE_RATE_HZ", "SPECIES", "TABLES", "VERSION", "built_in", "generate"]
