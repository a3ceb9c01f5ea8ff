"""Every example of a help text and of a page can be typed as it stands: options and names are those there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from orchestrator.algorithms.experiments import named
from orchestrator.algorithms.folders import in_environment, load_algorithm, resolve_params
from orchestrator.cli import main
from orchestrator.data.manifest import load_manifest
from orchestrator.paths import layout
from orchestrator.reproduce.published import load_experiments

ROOT = Path(__file__).parents[2]
_FENCED = re.compile(r"^```(?:sh|bash|console)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
_TO_BE_MADE = {"median", "mine", "MEDIAN_DEMO", "sweep"}  # what the pages have the reader add
_QUICK = ("list", "cite", "data list", "reproduce MOUSENEU_LP_N2N_1 --plan")  # run here: they read and write nothing


def _helps(command):
    text = command.help or ""
    yield from (line.strip() for line in text.splitlines() if line.strip().startswith("calm "))
    for one in getattr(command, "commands", {}).values():
        yield from _helps(one)


def _of_pages():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in _FENCED.findall(page.read_text("utf-8")):
            yield from (line.strip() for line in block.splitlines() if line.startswith("calm "))


EXAMPLES = sorted({line for line in (*_helps(main), *_of_pages()) if "Usage:" not in line})
HELPS = sorted({*_helps(main)})


def _words(example):
    return shlex.split(example, comments=True)[1:]


def _parsed(words):
    """Parse words as the command line does, group by group, without running the command."""
    command, context = main, main.make_context("calm", [*words])
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])  # noqa: SLF001
        context = command.make_context(name, rest, parent=context)
    return context


def _algorithm(name):
    folder, _, environment = name.partition("@")
    algorithm = load_algorithm(ROOT / "containers" / folder)
    return in_environment(algorithm, environment) if environment else algorithm


@pytest.fixture(scope="module")
def experiments():
    return load_experiments(ROOT / "containers")


@pytest.fixture(scope="module")
def datasets():
    return load_manifest(layout().manifest)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder, where an example may name any file to be written."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.usefixtures("here")
def test_every_example_is_parsed_and_names_what_there_is(example, experiments, datasets):
    given = _parsed(_words(example)).params
    names = {given.get("name"), *(given.get("names") or ()), *(given.get("algorithm_names") or ())} - {None}
    for name in names - _TO_BE_MADE:
        if name[0].isupper():
            assert named(experiments, name)
        elif "." not in name and "/" not in name:
            assert name == "demo" or _algorithm(name)
    for dataset in [given.get("dataset"), *(given.get("datasets") or ())]:
        assert dataset is None or datasets.named(dataset)
    if given.get("params") and given["name"] not in _TO_BE_MADE:
        overrides = dict(one.split("=", 1) for one in given["params"])
        assert resolve_params(_algorithm(given["name"]), given["preset"], overrides)


@pytest.mark.parametrize("example", HELPS)
def test_an_example_of_a_help_text_leaves_nothing_to_be_filled_in(example):
    assert not re.search(r"\.\.\.|\bKEY\b|\bRUN\b|<|>", example)


@pytest.mark.parametrize("example", [one for one in HELPS if one.removeprefix("calm ").startswith(_QUICK)])
@pytest.mark.usefixtures("here")
def test_an_example_that_only_prints_prints(example):
    done = CliRunner().invoke(main, _words(example))
    assert done.exit_code == 0, done.output
    assert done.output.strip()
