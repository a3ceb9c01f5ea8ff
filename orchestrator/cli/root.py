"""The group of all commands, and what they share. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contract.errors import JobRefused
from orchestrator.cli.endings import say_stopped, stop_raises
from orchestrator.errors import BadInput, CalmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.algorithms.experiments import Experiment
    from orchestrator.domain import Algorithm
    from orchestrator.records.run import Run
    from orchestrator.runs.session import Session

check_option = click.option(
    "--check", is_flag=True, help="Read every byte of finished runs, not only sizes and times of their files."
)
share_option = click.option(
    "--share", is_flag=True, help="For other people: files without their folders, and no name of a user."
)
_WHOLE = 1000  # characters; more than any sentence has


_PAGE_BEGINS = b"<!-- key of this page: "  # within the first bytes of every page that calm writes
_PAGE_HEAD_BYTES = 200


class PagePath(click.Path):
    """Where a page is to be written: a name that is free, or a page of calm."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ANN401
        """Return the absolute path; nothing but a page of calm is ever replaced."""
        path = Path(os.fsdecode(super().convert(value, param, ctx))).absolute()
        if path.suffix.lower() not in {".html", ".htm"}:
            message = f"--to: expected a file named .html, got {value}"
            raise BadInput(message, "A report is an HTML page; its tables are printed, and the page saves them as CSV.")
        if path.exists() and not self._is_page(path):
            message = f"{path}: expected a free name or a page that calm wrote, got something else"
            raise BadInput(message, "Choose another name with --to; nothing was overwritten.")
        from orchestrator.paths import check_writable, existing_parent

        check_writable(existing_parent(path.parent))
        return path

    @staticmethod
    def _is_page(path: Path) -> bool:
        if not path.is_file():  # a folder or a device
            return False
        with path.open("rb") as stream:
            return _PAGE_BEGINS in stream.read(_PAGE_HEAD_BYTES)


class _Command(click.Command):
    """A command that knows where it writes, to tell which disk refused it."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click declares it
        from orchestrator.paths import layout
        from orchestrator.scratch import sweep

        sweep(layout().caches)
        try:
            return super().invoke(ctx)
        except JobRefused as error:  # of a movie, a target or a prediction, after the command has looked at it
            raise BadInput(str(error), "Put it back as it was, or leave it out.") from error
        except OSError as error:
            from orchestrator.cli.disk_errors import disk_error

            told = disk_error(error, _places(ctx))
            if told is None:
                raise
            raise told from error

    def get_short_help_str(self, limit: int = _WHOLE) -> str:  # noqa: ARG002 - a sentence is not cut
        """Return the first sentence of the help, as lists of commands show it."""
        return super().get_short_help_str(_WHOLE)


class _Subgroup(click.Group):
    """A group of such commands."""

    command_class = _Command

    def get_short_help_str(self, limit: int = _WHOLE) -> str:  # noqa: ARG002 - a sentence is not cut
        """Return the first sentence of the help, as lists of commands show it."""
        return super().get_short_help_str(_WHOLE)


class _Group(_Subgroup):
    """A group that turns a `CalmError`, and a stop, into one sentence, a hint and an exit code."""

    group_class = _Subgroup

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as click declares it
        """Begin again in Python's UTF-8 mode where the locale is another: names of files are UTF-8 everywhere else."""
        if sys.getfilesystemencoding() != "utf-8":
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this program
        return super().main(*args, **options)

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:  # noqa: ANN401 - as click declares it
        """Read the arguments of the command line."""
        stop_raises()
        try:
            return super().make_context(*arguments, **more)
        except KeyboardInterrupt:
            say_stopped()

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click declares it
        try:
            return super().invoke(ctx)
        except CalmError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"Error: {_printable(error.message)}", err=True)
            click.echo(f"Hint: {_printable(error.hint)}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            say_stopped()


def _printable(text: str) -> str:
    """Return a text without what a terminal would obey: names of files may hold anything."""
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show every program that is started, and tracebacks.")
@click.version_option(package_name="calm")
def main(*, debug: bool) -> None:
    """Run, score and compare calcium-imaging denoisers in pinned environments.

    \b
    Example:
        calm run n2v --data demo --preset quick
        calm run n2v --input movie.tif
    """  # noqa: D301 - click reads \b as "do not wrap"
    import logging

    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(name)s: %(message)s")


def _places(ctx: click.Context) -> list[Path]:
    """Return where a command may write: the folders of calm, the temporary one, and every path that it was given."""
    from orchestrator.paths import layout

    values = (value if isinstance(value, tuple) else (value,) for value in ctx.params.values())
    given = [one.absolute() for value in values for one in value if isinstance(one, Path)]
    folders = layout()
    temporary = Path(os.environ.get("TMPDIR", "/tmp")).absolute()  # noqa: S108 - asked for its free space only
    return [folders.outputs, folders.home, folders.data, temporary, *given]


def algorithms() -> dict[str, Algorithm]:
    """Return every algorithm that can be loaded, by name."""
    from orchestrator.algorithms.folders import load_algorithms
    from orchestrator.paths import layout

    return load_algorithms(layout().containers)


def algorithm(name: str) -> Algorithm:
    """Return an algorithm by name, or by name and environment: n2v@study."""
    from orchestrator.algorithms.folders import algorithm_named
    from orchestrator.paths import layout

    return algorithm_named(layout().containers, name)


def experiments() -> dict[str, Experiment]:
    """Return every published experiment by name; what is wrong with a file is said, and the others go on."""
    from orchestrator.paths import layout
    from orchestrator.reproduce.published import load_experiments

    def say(error: BadInput) -> None:
        click.echo(f"Warning: left out: {error.message}. {error.hint}", err=True)

    return load_experiments(layout().containers, say)


def session(engine_name: str, memory_gib: float | None = None) -> Session:
    """Return the session of a command, with progress bars on stderr."""
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.paths import layout
    from orchestrator.runs.session import Session

    @cache  # a line that is said of every plan is printed once
    def say(line: str) -> None:
        click.echo(line, err=True)

    return Session(
        layout=layout(),
        engine_name=engine_name,
        progress=TerminalProgress(),
        say=say,
        memory_bytes=None if memory_gib is None else int(memory_gib * 2**30),
    )


def absolute(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return paths as absolute ones: from the command line inward, every path is."""
    return tuple(path.absolute() for path in paths)


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Return the runs that a user names, as they are."""
    from orchestrator.records.run import read_run

    return [read_run(path) for path in absolute(paths)]


def checked_runs(paths: Sequence[Path], *, content: bool = False) -> list[Run]:
    """Return the runs that a user names, compared with their records; `content` as in `Run.check`."""
    runs = read_runs(paths)
    for one in runs:
        one.check(content=content)
    return runs
