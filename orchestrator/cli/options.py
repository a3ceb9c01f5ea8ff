"""Options of commands, each written once; choices come from the types of the domain."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from orchestrator.domain import Device, EngineName, OutputDtype, Precision
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.records.record import Choice
    from orchestrator.runs.settings import Settings

ENGINES = get_args(EngineName)
_DEFAULT_SEED = 42


class FiniteRange(click.FloatRange):
    """A number in a range; not "nan", which no comparison refuses, and not "inf"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the number, as click declares it."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a finite number, got {value}.", param, ctx)
        return number


class _Path(click.Path):
    """A path that is not empty: Python takes an empty one for the folder it stands in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the path, as click declares it."""
        if not os.fsdecode(value):
            self.fail("expected a path, got an empty text.", param, ctx)
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)


class Given(click.ParamType[str]):
    """A text that is not empty: an empty variable of a shell is a mistake, not a choice."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401
        """Return the text, as click declares it."""
        if not str(value).strip():
            self.fail("expected a text, got an empty one.", param, ctx)
        return str(value)


class Listed(click.ParamType[tuple[str, ...]]):
    """Texts with commas between them, none of them empty and none of them twice."""

    name = "text,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ANN401
        """Return the texts, as click declares it."""
        if isinstance(value, tuple):
            return value
        found = tuple(one.strip() for one in str(value).split(","))
        if not all(found):
            self.fail("expected texts with commas between them, got an empty one.", param, ctx)
        if len(set(found)) < len(found):
            self.fail(f"expected each of them once, got {value}.", param, ctx)
        return found


class _Seeds(Listed):
    """Seeds with commas between them."""

    name = "integer,..."
    seed = click.IntRange(0, 2**32 - 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the seeds, as click declares it."""
        found = (value,) if isinstance(value, int) else super().convert(value, param, ctx)
        return tuple(self.seed(one, param, ctx) for one in found)


seeds = click.option(
    "--seed",
    "seeds",
    type=_Seeds(),
    default=str(_DEFAULT_SEED),
    show_default=True,
    help="One, or several with commas between them.",
)
engine = click.option(
    "--engine", "engine_name", type=click.Choice(("auto", *ENGINES)), default="auto", show_default=True
)
device = click.option("--device", type=click.Choice(get_args(Device)), default="cpu", show_default=True)
memory = click.option(
    "--memory", "memory_gib", type=FiniteRange(0.1, 2**20), help="[GiB; default: 90 % of the machine]"
)
regions = click.option(
    "--regions",
    type=PATH,
    help="Where to look, kept with the run: JSON of Neurofinder, stat.npy of suite2p, ROIs of ImageJ (.roi, .zip), "
    "TIFF of labels.  [default: active spots away from artefacts]",
)
threads = click.option("--threads", type=click.IntRange(1, 4096), help="Results depend on it.  [default: all cores]")
params = click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a parameter; may be repeated."
)
_PRESETS = (
    "smoke (seconds; shows that it works, not that it denoises), quick, movie (n2v over time), default or published; "
    "`calm list ALGORITHM` shows them."
)
_PRIOR = "Earlier result: a prediction, noise model, still stack or checkpoint, as `calm list ALGORITHM` says."
_INPUT = "Your own movie: a file, a folder or a quoted pattern; may be repeated."
_OF_INPUT = ("axes", "channel", "plane", "series", "inside", "frame_rate_hz")  # options that only --input needs
_SOURCE = (
    click.option("--data", "dataset", type=Given(), help="Dataset of the manifest (calm data list).  [default: demo]"),
    click.option("--input", "inputs", multiple=True, type=PATH, help=_INPUT),
)
_CHOICE = (
    click.option("--axes", type=Given(), help="Axes of --input as stored, where the file does not say, such as TYX."),
    click.option("--channel", type=click.IntRange(1), help="Which channel of --input, counted from 1."),
    click.option("--plane", type=click.IntRange(1), help="Which plane of a volume of --input, counted from 1."),
    click.option("--series", type=click.IntRange(1), help="Which image series in a file, counted from 1."),
    click.option("--inside", type=Given(), help="Path of the movie inside an HDF5, NWB or Zarr --input."),
    click.option("--frame-rate", "frame_rate_hz", type=FiniteRange(1e-6, 1e9), help="Of --input.  [Hz]"),
)
_SEED = click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=_DEFAULT_SEED, show_default=True)
_SETTINGS = (
    click.option("--preset", type=Given(), default="default", show_default=True, help=_PRESETS),
    params,
    click.option("--earlier", "prior", multiple=True, type=PATH, help=_PRIOR),
    _SEED,
    threads,
    device,
    click.option("--precision", type=click.Choice(get_args(Precision)), default="float32", show_default=True),
    click.option("--output-dtype", type=click.Choice(get_args(OutputDtype)), default="float32", show_default=True),
    engine,
    memory,
)


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a run: its movies, its settings, and where it runs."""
    for option in reversed((*_SOURCE, *_CHOICE, *_SETTINGS)):
        command = option(command)
    return command


def with_choice(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how a movie is to be read."""
    for option in reversed(_CHOICE):
        command = option(command)
    return command


def with_own_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that is given movies as arguments, and several seeds, the other options of a run."""
    for option in reversed((*_CHOICE, *(one for one in _SETTINGS if one is not _SEED))):
        command = option(command)
    return command


def with_prediction_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that trains nothing the options of movies and of where it runs."""
    for option in reversed((*_CHOICE, engine, memory)):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a user asked for: the options above, each with the value it has for commands without it."""

    dataset: str | None = None
    inputs: tuple[Path, ...] = ()
    axes: str | None = None
    channel: int | None = None
    plane: int | None = None
    series: int | None = None
    inside: str | None = None
    frame_rate_hz: float | None = None
    preset: str = "default"
    params: tuple[str, ...] = ()
    prior: tuple[Path, ...] = ()
    seed: int = _DEFAULT_SEED
    threads: int | None = None
    device: Device = "cpu"
    precision: Precision = "float32"
    output_dtype: OutputDtype = "float32"
    engine_name: str = "auto"
    memory_gib: float | None = None


def settings_of(asked: Asked) -> Settings:
    """Return the settings that options of a run choose."""
    from orchestrator.runs.settings import Settings

    return Settings(
        preset=asked.preset,
        overrides=overrides_of(asked.params),
        seed=asked.seed,  # a command may take several in its place
        threads=threads_of(asked.threads),
        device=asked.device,
        precision=asked.precision,
        output_dtype=asked.output_dtype,
    )


def choice_of(asked: Asked) -> Choice:
    """Return what options of a run say of its movies."""
    from orchestrator.records.record import Choice

    said = {name: getattr(asked, name) for name in _OF_INPUT if name != "axes"}
    return Choice(axes=asked.axes and asked.axes.upper(), **said)


def threads_of(given: int | None) -> int:
    """Return the threads that were asked for, else one for each core that this process may use."""
    return given or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def overrides_of(given: Sequence[str]) -> dict[str, str]:
    """Read NAME=VALUE options."""
    overrides: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            message = f"--param: expected NAME=VALUE, got {text}"
            raise BadInput(message, "For instance --param num_epochs=20.")
        if name in overrides:
            message = f"--param: expected each parameter once, got {name} as {overrides[name]} and as {value}"
            raise BadInput(message, "Leave one of them out.")
        overrides[name] = value
    return overrides


def check_one_source(asked: Asked) -> None:
    """Refuse options that contradict each other: own files and a dataset, or what only own files need."""
    if asked.inputs and asked.dataset:
        message = f"expected --input or --data, got both ({asked.dataset})"
        raise BadInput(message, "Give your own files, or the name of a dataset.")
    needless = [f"--{name.removesuffix('_hz').replace('_', '-')}" for name in _OF_INPUT if getattr(asked, name)]
    if needless and not asked.inputs:
        message = f"expected {' and '.join(needless)} with --input only, got a dataset ({asked.dataset or 'demo'})"
        raise BadInput(message, "The manifest says it of a dataset.")
