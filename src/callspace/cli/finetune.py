"""``callspace finetune``: fit one encoder and keep it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from callspace.cli import options

__all__ = ["finetune"]


def finetune(
    data: options.Data,
    encoder: Annotated[
        str, typer.Option("--encoder", "-e", metavar="NAME", help="A name from `callspace models`, or the folder of a tuned encoder.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the tuned encoder goes.")],
    annotations: options.Annotations = None,
    regime: Annotated[
        str,
        typer.Option(
            "--regime",
            "-r",
            metavar="NAME",
            help="A probe (prototype, linear, mlp, attentive), or what changes the network: last or last:N blocks, lora or lora:RANK, full, "
            "lp-ft, decay, gradual.",
        ),
    ] = "full",
    background: Annotated[
        str,
        typer.Option(
            "--background",
            "-b",
            metavar="POLICY",
            help="Train's background that is kept: a share, ratio:N, hard:SHARE; +class behind it makes it a class.",
        ),
    ] = "1",
    protocol: Annotated[
        str, typer.Option("--protocol", "-p", metavar="NAME", help="fair, quick, paper or a TOML file: the training recipe.")
    ] = "fair",
    changes: options.Changes = None,
    augment: options.Augment = None,
    tune: options.Tune = None,
    devices: options.Devices = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    layer: options.Layer = None,
    pool: options.Pool = None,
    weights: options.WeightsOption = None,
    device: options.Device = None,
    format: options.Format = None,  # noqa: A002 - the option's name
    window: options.Window = None,
    hop: options.Hop = None,
    windows: options.Windows = "grid",
    min_overlap: options.MinOverlap = 0.2,
    chunk: options.Chunk = None,
    background_windows: options.BackgroundWindows = None,
    speed: options.Speed = 1.0,
    band: options.Band = False,
    group: options.Group = None,
    split: options.Split = None,
    test_fold: options.TestFold = None,
    fold_column: options.FoldColumn = None,
    split_by: options.SplitBy = None,
    folds: options.Folds = None,
    shots: options.Shots = None,
    path_column: options.PathColumn = None,
    label_column: options.LabelColumn = None,
    channel: options.Channel = None,
    rate: options.Rate = None,
    unlisted: options.Unlisted = "skip",
    strict: options.Strict = False,
) -> None:
    """Fit an encoder to labelled recordings and save it: `--encoder FOLDER` then uses it anywhere."""
    from callspace.adaptation.background import parse_policy
    from callspace.adaptation.finetune import finetune as run_finetune
    from callspace.adaptation.regimes import regime_of
    from callspace.bench.execute import frozen_encoder
    from callspace.bench.protocols import load_protocol
    from callspace.bench.request import layer_of
    from callspace.encoders.defects import with_study_defects
    from callspace.errors import CallspaceError
    from callspace.evaluation.tuned import tuned_scores
    from callspace.progress import terminal_progress

    if out.exists() and not (out / "card.json").exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise CallspaceError(f"'{out}' exists and holds something else: choose another folder with --out")
    progress = terminal_progress()
    asked = options.all_changes(changes, augment, tune, devices)
    chosen = load_protocol(protocol, asked)
    # A typo is told before hours of recordings are examined.
    fitted, policy = regime_of(regime), parse_policy(background, clean_all_allowed=chosen.clean_all)
    start = frozen_encoder(
        encoder, options.weights_of(encoder, weights), seed, chosen.front_end, layer=layer or layer_of(encoder, chosen), pool=pool
    )
    if chosen.study_defects:
        with_study_defects(start)
    dataset = options.read_dataset(
        data,
        annotations,
        progress,
        format=format,
        window_s=window,
        hop_s=hop,
        windows=windows,
        min_overlap=min_overlap,
        chunk_s=chunk,
        background_windows=background_windows,
        speed=speed,
        band=band,
        group=group,
        split=split,
        test_fold=test_fold,
        fold=fold_column,
        split_by=split_by,
        n_folds=folds,
        shots=shots,
        path_column=path_column,
        label_column=label_column,
        channel=channel,
        sample_rate_hz=rate,
        unlisted=unlisted,
        strict=strict,
    )
    for sentence in [*dataset.notes, *dataset.warnings]:
        progress.say(sentence)
    tuned = run_finetune(
        dataset,
        start,
        fitted.name,
        policy,
        seed,
        recipe=chosen.recipe_for(start.spec.name),
        trials=chosen.trials,
        fixed=[change.partition("=")[0].strip().removeprefix("training.") for change in asked],
        device=device,
        devices=chosen.devices,
        checkpoint=out.with_name(f".{out.name}.fit"),
        progress=progress,
    )
    tuned.card["scores"] = tuned_scores(dataset, tuned, device=device)
    tuned.save(out)
    metric = tuned.card["valid_metric"]
    said = [_scored(row) for row in tuned.card["scores"] if row["metric"] == metric and row["class"] is None]
    typer.echo(f"{encoder} {fitted.words}: {'mAP' if metric == 'map' else metric} {', '.join(said)}.")
    typer.echo(f"Saved in {out}: use it as --encoder {out}, or callspace.load_encoder('{out}').")


def _scored(row: dict[str, Any]) -> str:
    """'0.912 on valid, which chose', '0.880 (0.850 to 0.910) on test, which had no part'."""
    ends = "" if row["ci_low"] is None else f" ({row['ci_low']:.3f} to {row['ci_high']:.3f})"
    return f"{row['value']:.3f}{ends} on {row['split']}, which {'chose' if row['split'] == 'valid' else 'had no part in it'}"
