"""`--help` of every command shows an example, and imports nothing that takes long."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from orchestrator.cli import main

SLOW_TO_IMPORT = {
    "docker",
    "hashlib",
    "imagecodecs",
    "jinja2",
    "json",
    "logging",
    "msgspec",
    "numpy",
    "pooch",
    "requests",
    "scipy",
    "tifffile",
    "yaml",
}


def _commands(command, *path):
    yield path, command
    if isinstance(command, click.Group):
        for name, one in sorted(command.commands.items()):
            yield from _commands(one, *path, name)


COMMANDS = dict(_commands(main))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(("calm", *path)))
def test_help_of_every_command_shows_an_example_of_it(path):
    command = COMMANDS[path]
    context = click.Context(command, info_name=" ".join(("calm", *path)), **main.context_settings)
    text = command.get_help(context)
    _, heading, example = text.partition("Example:")
    assert heading, text
    assert f"  {' '.join(('calm', *path))}" in example


def test_help_of_calm_imports_nothing_that_takes_long():
    """How long it takes is measured by benchmarks/commands.py."""
    program = (
        "import sys; from orchestrator.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert SLOW_TO_IMPORT & {*done.stdout.splitlines()[-1].split()} == set()
