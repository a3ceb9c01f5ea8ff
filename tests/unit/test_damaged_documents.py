"""Every document that calm reads, damaged in ten ways, and every command that reads it.

Exit code 2, one sentence with the path of the document, a hint, no traceback, and nothing written.
"""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from damages import DAMAGES

from contract.events import Events
from contract.figures import Curve, Figure, write_figures
from contract.files import sha256, write_json
from contract.job import read_job
from contract.predictions import predictions_of
from contract.result import Ending, write_result
from evaluation.study.protocol import score_study
from orchestrator import paths
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.bundle.lists import write_list
from orchestrator.cli import main
from orchestrator.domain import Exit
from orchestrator.paths import RunFolder
from orchestrator.records.regions import Regions, keep_regions
from orchestrator.records.run import read_run
from orchestrator.runs.job import Tail
from orchestrator.runs.session import Session

pytestmark = pytest.mark.slow
CONTAINERS = Path(__file__).parents[2] / "containers"
CONTROLS = ("identity", "mean", "svd")
MANIFEST = """version: 1
datasets:
  own:
    title: Own
    summary: A movie with a target and known regions
    access: restricted
    instructions: Ask for it.
    licence: CC0
    folder: own
    axes: TYX
    frame_rate_hz: 10.0
    files:
      - {path: noisy.tif, split: train, role: noisy, shape: [12, 24, 26], dtype: uint16}
      - {path: target.tif, split: train, role: target, shape: [12, 24, 26]}
      - {path: truth.npz, split: train, role: truth}
    targets:
      - {find: noisy, replace: target}
  drawn:
    title: Drawn
    summary: A movie with drawn regions
    access: restricted
    instructions: Ask for it.
    licence: CC0
    folder: drawn
    axes: TYX
    files:
      - {path: noisy.tif, split: train, role: noisy}
      - {path: target.tif, split: train, role: target}
      - {path: labels.tif, split: train, role: truth}
    targets:
      - {find: noisy, replace: target}
"""
STUDY_TABLE = "filename,Low_SNR_PSNR,Pred_PSNR,PSNR_diff\na.tif,21.5,24.25,2.75\nb.tif,20.5,24.75,4.25\n"
RUN = {
    "evaluate": ("evaluate", "RUN"),
    "report": ("report", "RUN"),
    "crate": ("crate", "RUN"),
    "diff": ("diff", "RUN", "RUN"),
    "verify": ("verify", "RUN", "--engines", "venv"),
    "export": ("export", "RUN", "--form", "imagej"),
    "table": ("export", "RUN", "--to", "table.csv"),
    "predict": ("predict", "RUN", "MOVIE"),
    "run": ("run", "mean", "--data", "own"),
}
DATA = {
    "run": ("run", "mean", "--data", "own"),
    "list": ("data", "list"),
    "fetch": ("data", "fetch", "own"),
    "verify": ("data", "verify", "own"),
    "simulate": ("data", "simulate", "own"),
}
SCORED = ("evaluate", "report", "table", "run")
# `verify` compares the files of a run itself, and ends with 1; `diff` compares predictions, whatever else is there.
FILES = {name: RUN[name] for name in RUN if name not in ("diff", "verify")}
# Document, and the commands that read it; a command that needs nothing of it is not asked.
TABLE = {
    "run/run.json": {**RUN},
    "run/scores.json": {name: RUN[name] for name in SCORED},
    "run/frames.csv": {name: RUN[name] for name in SCORED},
    "run/scores-study.json": {"report": ("report", "RUN", "--to", "page.html"), "table": RUN["table"]},
    "run/regions.json": {name: RUN[name] for name in SCORED},
    "run/checks.json": {name: RUN[name] for name in ("report", "run")},
    "run/checks-full.json": {name: RUN[name] for name in ("report", "run")},
    "run/train/history.json": FILES,
    "run/predict-train/figures.json": FILES,
    "run/predictions/train/noisy.tif": FILES,
    "run/checkpoint/network.json": FILES,
    "unfinished/train/result.json": {"run": RUN["run"]},
    "manifest.yaml": DATA,
    "manifest.lock.json": DATA,
    "data/own/truth.npz": {"run": RUN["run"]},
    "data/own/target.tif": {"run": RUN["run"]},
    "data/drawn/labels.tif": {"run": ("run", "mean", "--data", "drawn")},
    "data/own/noisy.tif": {"run": RUN["run"]},
    "containers/mean/algorithm.yaml": {
        "list": ("list", "mean"),
        "build": ("build", "mean"),
        "run": RUN["run"],
        "cite": ("cite", "mean"),
    },
    "bundle/bundle.json": {name: ("bundle", name, "BUNDLE") for name in ("verify", "load")},
    "study/NIDDL_N2V_1.csv": {"reproduce": ("reproduce", "--from-csv", "STUDY")},
}

# Damages after which a document is as good as before, though it says something else; nothing may break then.
STILL_GOOD = {
    "unfinished/train/result.json": ("digits swapped",),
    "data/drawn/labels.tif": ("extra field", "digits swapped"),
    "manifest.yaml": ("digits swapped",),
    "manifest.lock.json": ("{}", "missing field", "digits swapped"),
    "containers/mean/algorithm.yaml": ("wrong type", "huge number", "digits swapped"),
    "study/NIDDL_N2V_1.csv": ("extra field", "digits swapped"),
}


class InProcess:
    """An engine whose jobs end at once and well: the prediction is the movie plus one."""

    name = "venv"
    unusable = ""

    def check(self):
        """Return a version."""
        return "Python 3.11"

    def promises(self):
        """Promise nothing."""
        return {}

    def find(self, _):
        """Return an identifier."""
        return "here"

    def run(self, launch, _):
        """Do what an image does."""
        job = read_job(Path(launch.arguments[1]))
        with closing(Events(job.folder / "events.jsonl")) as events:
            if job.command == "train":
                job.checkpoint.mkdir()
                write_json(job.checkpoint / "network.json", {"weights": [12.5, 13.5]})
                write_json(job.folder / "history.json", {"loss": [12.5, 13.5], "val_loss": [[1, 12.5]]})
            else:
                for stack, prediction in predictions_of(job, events):
                    prediction.write(stack.frames(0, stack.shape[0]) + 1)
                curve = Curve(name="one", kind="line", x=[12.5, 13.5], y=[1.5, 2.5])
                write_figures(job, [Figure(title="Plot", note="A note.", x="x", y="y", curves=[curve])])
            write_result(job.folder, job, Ending(status="ok"), events, upstream=UPSTREAM, versions={"numpy": "2.4.0"})
        return Exit(code=0)


UPSTREAM = {"name": "calm", "version": "1", "commit": None}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Return a folder for copies of a world, and the world: movies and a finished, scored and reported run of them."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        world = place / "world"
        _write_data(world)
        _move_in(world, place, patch)
        assert _code("run", "mean", "--data", "own") == 0
        (run,) = world.glob("outputs/mean-own-default/*")
        score_study(read_run(run), "movies", load_algorithms(place / "containers"))
        keep_regions(RunFolder(path=run), Regions(origin="a test", names=("a",), pixels=(np.array([[9, 10]]),)))
        assert _code(*RUN["run"], "--checks", "full") == 0
        assert _code("report", run) == 0
        shutil.rmtree(world / "home")
    return world, shutil.copytree(world, place / "kept")


def _move_in(world, root, patch):
    """Let commands find everything in a folder, and algorithms in another, and start nothing."""
    for name in (*CONTROLS, "base"):
        shutil.copytree(CONTAINERS / name, root / "containers" / name)
    where = paths.Layout(
        root=root, home=world / "home", outputs=world / "outputs", data=world / "data",
        manifest=world / "manifest.yaml",
    )  # fmt: skip
    patch.setattr(paths, "layout", lambda: where)
    for name in ("build", "engine"):
        patch.setattr(Session, name, lambda *_: InProcess())
    patch.chdir(world)


def _write_data(world):
    noise = np.random.default_rng(1)
    clean = np.full((12, 24, 26), 100.0)
    clean[:, 15:20, 15:20] = 150  # every frame of a target has structure
    clean[3:6, 8:12, 8:12] += 60
    labels = np.zeros((24, 26), np.uint16)
    labels[8:12, 8:12] = 1
    spikes = np.zeros((1, 12), np.uint8)
    spikes[0, 3] = 1
    (world / "data" / "own").mkdir(parents=True)
    (world / "bundle").mkdir()
    (world / "bundle" / "file").write_text("12")
    write_list(world / "bundle", ())
    (world / "study").mkdir()
    (world / "study" / "NIDDL_N2V_1.csv").write_text(STUDY_TABLE)
    tifffile.imwrite(world / "data" / "own" / "noisy.tif", noise.poisson(clean).astype(np.uint16))
    tifffile.imwrite(world / "data" / "own" / "target.tif", clean.astype(np.float32))
    np.savez(world / "data" / "own" / "truth.npz", labels=labels, spikes=spikes)
    shutil.copy(world / "data" / "own" / "noisy.tif", world / "movie.tif")
    shutil.copytree(world / "data" / "own", world / "data" / "drawn", ignore=shutil.ignore_patterns("*.npz"))
    tifffile.imwrite(world / "data" / "drawn" / "labels.tif", labels)
    (world / "manifest.yaml").write_text(MANIFEST)
    files = {
        path.name: {"bytes": path.stat().st_size, "checksum": f"sha256:{sha256(path)}"}
        for path in sorted((world / "data" / "own").iterdir())
    }
    write_json(world / "manifest.lock.json", {"own": {"files": files, "licence": "CC0", "record_url": None}})


@dataclass(frozen=True, kw_only=True)
class World:
    """Where everything lies."""

    folder: Path
    root: Path

    @property
    def run(self):
        """The folder of the run of the control mean."""
        (found,) = self.folder.glob("outputs/mean-own-default/*")
        return found

    def path(self, document):
        """Return where a document of the table lies."""
        first, _, rest = document.partition("/")
        return {"run": self.run / rest, "unfinished": self.run / rest, "containers": self.root / document}.get(
            first, self.folder / document
        )

    def command(self, words):
        """Return the arguments of a command of the table."""
        places = {
            "RUN": self.run,
            "MOVIE": self.folder / "movie.tif",
            "BUNDLE": self.folder / "bundle",
            "STUDY": self.folder / "study" / "NIDDL_N2V_1.csv",
        }
        return [str(places.get(word, word)) for word in words]

    def state(self):
        """Return size and time of every file, but for the memory of what was found out of their contents."""
        home = self.folder / "home"
        found = (path for path in self.folder.rglob("*") if home not in (path, *path.parents))
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found if path.is_file()}


@pytest.fixture
def world(original, tmp_path, monkeypatch):
    """Return a fresh copy of the world, in its place, as records name movies by their paths, with their times."""
    folder, kept = original
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)
    _move_in(folder, tmp_path, monkeypatch)
    return World(folder=folder, root=tmp_path)


def _code(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    return ended.value.code


@pytest.mark.parametrize(
    ("document", "damage"),
    [(document, damage) for document in TABLE for damage in DAMAGES if damage not in STILL_GOOD.get(document, ())],
)
def test_every_command_that_reads_a_damaged_document_says_so_and_writes_nothing(world, capsys, document, damage):
    path = world.path(document)
    if document.startswith("unfinished"):
        (world.run / "run.json").unlink()
    DAMAGES[damage](path)
    before = world.state()
    wrong = []
    for name, words in TABLE[document].items():
        code = _code(*world.command(words))
        said = capsys.readouterr().err
        lines = [line for line in said.splitlines() if not line.startswith("Warning: left out")]
        if code not in (2, 6) or len(lines) != 2 or str(path) not in lines[0] or not lines[1].startswith("Hint: "):
            wrong.append((name, code, said[-600:]))
        if world.state() != before:
            wrong.append((name, "wrote", {*world.state().items()} ^ {*before.items()}))
    assert not wrong


@pytest.mark.parametrize(("document", "damage"), [(one, damage) for one in STILL_GOOD for damage in STILL_GOOD[one]])
def test_what_is_still_a_good_document_breaks_no_command(world, capsys, document, damage):
    DAMAGES[damage](world.path(document))
    commands = [world.command(words) for words in TABLE[document].values()]
    for words in commands:
        assert _code(*words) in (0, 1, 2)
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["truncated", "[]", "wrong encoding", "missing field", "extra field"])
def test_damaged_experiments_are_named_and_left_out_and_the_others_go_on(world, capsys, damage):
    path = Path(shutil.copy(CONTAINERS / "experiments.yaml", world.root / "containers"))
    DAMAGES[damage](path)
    for words in (("reproduce",), RUN["report"]):
        (world.run / "report.html").unlink(missing_ok=True)
        assert _code(*world.command(words)) == 0
        assert re.fullmatch(rf"Warning: left out: {path}: [^\n]+\n", capsys.readouterr().err)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_memory_of_checksums_is_made_anew(world, capsys, damage):
    assert _code(*RUN["run"]) == 0
    path = world.folder / "home" / "checksums.json"
    good = path.read_bytes()
    DAMAGES[damage](path)
    assert _code(*RUN["run"]) == 0
    assert "Found: " in capsys.readouterr().out
    assert path.read_bytes() == good


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_line_of_events_ends_no_job(tmp_path, damage):
    class Told(list):
        """Keeps what it is told."""

        event = list.append

    path = tmp_path / "events.jsonl"
    path.write_text('{"step": 12, "steps": 34, "loss": 1.25, "time_s": 1795849477.5, "title": "no field"}')
    DAMAGES[damage](path)
    with path.open("a") as stream:
        stream.write('\n{"step": 20, "steps": 34, "time_s": 1795849478.5}\n')
    told = Told()
    Tail(path, told).read()
    assert told[-1].step == 20
    assert all(str(path) in one.message for one in told[:-1])
