"""Commands on runs: run, evaluate, report."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.data import BytesProgress
from orchestrator.cli.root import (
    ENGINES,
    PagePath,
    absolute,
    algorithm,
    algorithms,
    check_option,
    checked_runs,
    main,
    session,
)
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.data.movies import Source
    from orchestrator.run import Run
    from orchestrator.runs.plan import Settings

_PATH = click.Path(path_type=Path)


class _FiniteRange(click.FloatRange):
    """A number in a range; not "nan", which no comparison refuses, and not "inf"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the number, as click declares it."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number, got {value}.", param, ctx)
        return number


_PRIOR_HELP = "Prediction of another run, noise model, calibration stack or checkpoint, as `calm list ALGORITHM` says."
_RUN_OPTIONS = (
    click.option("--data", "dataset", help="Dataset of the manifest (calm data list).  [default: demo]"),
    click.option("--input", "inputs", multiple=True, type=_PATH, help="Your own TIFF stack; may be repeated."),
    click.option("--axes", help="Axes as stored, where the file does not say, for instance ZYX."),
    click.option("--frame-rate", "frame_rate_hz", type=_FiniteRange(0, min_open=True), help="Of --input.  [Hz]"),
    click.option("--preset", default="default", show_default=True, help="quick, default or published."),
    click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a parameter; may be repeated."),
    click.option("--prior", multiple=True, type=_PATH, help=_PRIOR_HELP),
    click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=42, show_default=True),
    click.option("--threads", type=click.IntRange(1), help="Results depend on it.  [default: all cores]"),
    click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True),
    click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True),
    click.option("--output-dtype", type=click.Choice(["float32", "input"]), default="float32", show_default=True),
    click.option("--engine", "engine_name", type=click.Choice(ENGINES), default="auto", show_default=True),
    click.option("--memory", "memory_gib", type=_FiniteRange(0.1), help="[GiB; default: 90 % of the machine]"),
)


def _with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_RUN_OPTIONS):
        command = option(command)
    return command


@main.command()
@click.argument("name", metavar="ALGORITHM")
@_with_run_options
@check_option
def run(name: str, *, check: bool, **options: Any) -> None:  # noqa: ANN401 - click passes the options above
    """Train, predict, score and report one algorithm, beside the controls.

    \b
    Example:
        calm run n2v --data demo --preset quick
        calm run n2v --input movie.tif --param num_epochs=20
    """  # noqa: D301
    from orchestrator.runs.plan import check_prior

    opened = session(options["engine_name"], options["memory_gib"])
    plans = opened.plans(algorithm(name), _source(options), _settings(options), absolute(options["prior"]))
    check_prior(plans[0])
    outcomes = opened.run_all(plans)
    for outcome in outcomes:
        outcome.run.check(content=check)
    click.echo(f"{'Found' if outcomes[0].reused else 'Finished'}: {outcomes[0].run.folder.path}")
    _show([outcome.run for outcome in outcomes], None)


@main.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=_PATH)
@check_option
def evaluate(runs: tuple[Path, ...], *, check: bool) -> None:
    """Score finished runs again where movies or metrics have changed, and print the scores.

    \b
    Example:
        calm evaluate outputs/n2v-demo-quick/*
    """  # noqa: D301
    from evaluation.scores.score import score_run

    for found in checked_runs(runs, content=check):
        scores = score_run(found, algorithms())
        name = found.folder.path.parent.name
        named = {name: scores.splits, **{f"{name} {control}": one.splits for control, one in scores.controls.items()}}
        for title, splits in named.items():
            for split, metrics in splits.items():
                for metric, one in metrics.items():
                    mean, sd = ("none" if value is None else f"{value:.5g}" for value in (one.mean, one.sd))
                    click.echo(f"{title} {split} {metric}: mean {mean} sd {sd} n {one.n}")


@main.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=_PATH)
@click.option("--to", "target", type=PagePath(), help="HTML file.  [default: report.html of the first run]")
@check_option
def report(runs: tuple[Path, ...], target: Path | None, *, check: bool) -> None:
    """Write one page about finished runs, beside the controls and what was published for such settings.

    \b
    Example:
        calm report outputs/n2v-demo-quick/*
        calm report outputs/*/* --to all.html
    """  # noqa: D301
    _show(checked_runs(runs, content=check), target)


def _show(runs: Sequence[Run], target: Path | None) -> None:
    """Write the report, print its table and where it is."""
    from evaluation.checks.of_run import check_run
    from evaluation.checks.words import lights_text
    from evaluation.report.report import report_runs
    from orchestrator.cli.root import experiments
    from orchestrator.paths import layout

    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    click.echo(f"\n{report_runs(runs, algorithms(), experiments, layout().containers, target)}\n")
    click.echo(f"Report: {target or runs[0].folder.report}")
    click.echo(f"\n{lights_text(check_run(runs[0]))}")


def _source(options: dict[str, Any]) -> Source:
    from orchestrator.data.movies import dataset_source, input_source
    from orchestrator.paths import layout

    if options["inputs"] and options["dataset"]:
        message = f"expected --input or --data, got both ({options['dataset']})"
        raise BadInput(message, "Give your own files, or the name of a dataset.")
    if options["inputs"]:
        axes = options["axes"] and options["axes"].upper()
        return input_source(absolute(options["inputs"]), axes, options["frame_rate_hz"])
    return dataset_source(options["dataset"] or "demo", layout(), BytesProgress())


def _settings(options: dict[str, Any]) -> Settings:
    from orchestrator.runs.plan import Settings

    return Settings(
        preset=options["preset"],
        overrides=overrides_of(options["params"]),
        seed=options["seed"],
        threads=options["threads"] or len(os.sched_getaffinity(0)),
        device=options["device"],
        precision=options["precision"],
        output_dtype=options["output_dtype"],
    )


def overrides_of(params: Sequence[str]) -> dict[str, str]:
    """Read NAME=VALUE options."""
    overrides = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals:
            message = f"--param: expected NAME=VALUE, got {text}"
            raise BadInput(message, "For instance --param num_epochs=20.")
        overrides[name] = value
    return overrides
