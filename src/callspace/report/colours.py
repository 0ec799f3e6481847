"""Colours that colour-blind readers tell apart, the same for an encoder or a label wherever it is shown."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["BACKGROUND", "INK", "MUTED", "RULE", "encoder_colours", "label_marks", "shade", "tint"]

INK = "#1c2733"
MUTED = "#5c6975"
RULE = "#e3e8ec"
#: Background windows on a map: light, and drawn beneath all others.
BACKGROUND = "#d5dade"

#: Okabe and Ito (2008) without yellow and black, then three darker ones for long lists.
_ENCODERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6A3D9A", "#8C564B", "#4D5A66")

#: Paul Tol's "muted" scheme (technical note SRON/EPS/TN/09-002), its most distant colours first.
_LABELS = ("#332288", "#CC6677", "#117733", "#DDAA33", "#88CCEE", "#AA4499", "#44AA99", "#882255", "#999933")

#: After nine labels the colours come round again with another shape.
_SHAPES = ("circle", "triangle", "square", "diamond")


def encoder_colours(encoders: Sequence[str]) -> dict[str, str]:
    """A colour an encoder, in the order given; they come round again after nine."""
    return {encoder: _ENCODERS[index % len(_ENCODERS)] for index, encoder in enumerate(encoders)}


def label_marks(labels: Sequence[str]) -> list[dict[str, str]]:
    """A colour and a shape for each label, in the order given: thirty-six that differ."""
    return [
        {"colour": _LABELS[index % len(_LABELS)], "shape": _SHAPES[index // len(_LABELS) % len(_SHAPES)]} for index in range(len(labels))
    ]


def shade(value: float) -> tuple[str, str]:
    """A background from pale (0) to dark blue (1), and the text colour that is read best on it."""
    value = min(max(value, 0.0), 1.0)
    pale, dark = (242, 245, 247), (23, 62, 92)
    mixed = [round(light + (deep - light) * value) for light, deep in zip(pale, dark, strict=True)]
    # Relative luminance as WCAG 2 has it; 0.18 is where white and black text contrast equally.
    linear = [(part / 255 / 12.92) if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in mixed]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#{:02x}{:02x}{:02x}".format(*mixed), "#ffffff" if luminance < 0.2 else INK


def tint(colour: str, strength: float) -> str:
    """A colour ``#rrggbb`` made translucent, for Plotly and SVG."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{strength:g})"
