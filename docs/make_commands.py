"""Write docs/commands.md from the commands themselves: `make docs-commands`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).with_name("commands.md")
_WIDTH = 100
_HEAD = """# Commands

What `--help` says of every command; `make docs-commands` writes this page, and a test compares the two.
`calm` stands for `.venv/bin/calm`.
Exit codes are those of [the contract](contract.md#exit-codes).
"""


def page() -> str:
    """Return the whole page."""
    root = click.Context(main, info_name="calm", terminal_width=_WIDTH, **main.context_settings)
    return "\n".join([_HEAD, *map(_section, _contexts(root))])


def _contexts(of: click.Context) -> Iterator[click.Context]:
    yield of
    if isinstance(of.command, click.Group):
        for name, command in sorted(of.command.commands.items()):
            yield from _contexts(click.Context(command, of, name, terminal_width=_WIDTH))


def _section(of: click.Context) -> str:
    return f"## {of.command_path}\n\n```text\n{of.get_help()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
