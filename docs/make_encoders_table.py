"""Write docs/encoders.md: every encoder of the registry, as a table."""

from __future__ import annotations

from pathlib import Path

from callspace.encoders.registry import names, spec


def main() -> None:
    """Write the table beside this file."""
    lines = [
        "# Encoders",
        "",
        "Made by `make docs` from the registry. `NAME` has its published weights, `NAME:random` random ones.",
        "",
        "| encoder | pretraining | rate | layers | dimension | front end | tunable | licence of the weights | citation |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in names():
        found = spec(name)
        rate = "the dataset's" if found.sample_rate_hz is None else f"{found.sample_rate_hz:,} Hz"
        licence = found.weights.licence if found.weights else "no weights"
        layers = found.layers[0] if len(found.layers) == 1 else f"{found.layers[0]} (of {len(found.layers)})"
        cells = [
            f"`{name}`",
            found.pretraining,
            rate,
            layers,
            str(found.embedding_dim),
            found.front_end,
            "yes" if found.trainable else "no",
            licence,
            found.citation,
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    path = Path(__file__).parent / "encoders.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
