"""Where everything lies; the one module that joins paths of runs and caches."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

CARRIED = "calm_files"  # the package of a wheel that holds what is read of a checkout
_PROBE_BYTES = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Folders of a checkout, or of a calm that was installed without one.

    Parameters
    ----------
    root : Path
        The checkout, or the copy of what is read of it, which a wheel carries.
    home : Path
        Cache: wheels, environments, image contexts, checksums. May be deleted at any time.
    outputs : Path
        Runs.
    data : Path
        Data files, one folder for each dataset.
    manifest : Path
        The dataset manifest.
    """

    root: Path
    home: Path
    outputs: Path
    data: Path
    manifest: Path

    @property
    def containers(self) -> Path:
        """Folder of the algorithm folders."""
        return self.root / "containers"

    @property
    def wheels(self) -> Path:
        """All downloaded wheels, one folder for each lock."""
        return self.home / "wheels"

    @property
    def envs(self) -> Path:
        """Virtual environments, one folder and one list of its files for each lock."""
        return self.home / "environments"

    @property
    def pythons(self) -> Path:
        """Pythons for environments that uv or a bundle brought, one folder for each."""
        return self.home / "python"

    @property
    def contexts(self) -> Path:
        """Image contexts, one folder for each image."""
        return self.home / "contexts"

    @property
    def sifs(self) -> Path:
        """Apptainer's images, one file and one sidecar for each image."""
        return self.home / "sif"

    @property
    def images(self) -> Path:
        """Identifiers of the images that were built or loaded here, one file for each engine and image."""
        return self.home / "images"

    @property
    def stamps(self) -> Path:
        """Contents of wheels and SIFs, remembered by size, times and inode."""
        return self.home / "stamps"

    @property
    def base(self) -> Path:
        """What the base of every image is."""
        return self.containers / "base"

    @property
    def prepared(self) -> Path:
        """Prepared copies of movies, one folder for each content."""
        return self.home / "prepared"

    @property
    def stacks(self) -> Path:
        """Stacks that jobs read in place of movies in other formats, one folder for each content."""
        return self.home / "stacks"

    @property
    def workflow(self) -> Path:
        """Snakefile, profiles and lock of the workflow that brings sweeps to clusters."""
        return Path(__file__).parent / "sweep" / "workflow"

    @property
    def gpus(self) -> Path:
        """One lock for each GPU of this machine, held by the task that uses it."""
        return self.home / "gpus"

    @property
    def reproduced(self) -> Path:
        """The page that `calm reproduce` writes."""
        return self.outputs / "reproduced.html"

    def compared(self, movie: str, preset: str) -> Path:
        """Return the page that `calm compare` writes about a movie."""
        return self.outputs / f"compared-{movie}-{preset}.html"

    @property
    def delivered(self) -> Path:
        """Checksums of the files that calm wrote where a user asked for them, by path."""
        return self.outputs / ".delivered.json"

    @property
    def checksums(self) -> Path:
        """Checksums of files seen before, by path, size and time."""
        return self.home / "checksums.json"

    def sweep(self, name: str) -> SweepFolder:
        """Return the folder of a sweep; hidden, so that no pattern for runs finds it."""
        return SweepFolder(path=self.outputs / ".sweeps" / name, report=self.outputs / f"sweep-{name}.html")

    @property
    def caches(self) -> tuple[Path, ...]:
        """Folders in which temporary ones are made, beside the temporary folder of the system."""
        return self.home, self.wheels, self.envs, self.contexts, self.stacks, self.sifs, self.data

    def run(self, experiment: str, key: str) -> RunFolder:
        """Return the folder of a run."""
        return RunFolder(path=self.outputs / experiment / key)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFolder:
    """Every path of one run.

    Parameters
    ----------
    path : Path
        `outputs/<experiment>/<key>`.
    """

    path: Path

    @property
    def lock(self) -> Path:
        """Held by the process that works on this run; beside the folder, so that the folder holds results only."""
        return self.path.with_name(f".{self.path.name}.lock")

    @property
    def record(self) -> Path:
        """The provenance record; written last, so a run that has it is finished."""
        return self.path / "run.json"

    @property
    def checkpoint(self) -> Path:
        """What training leaves for prediction."""
        return self.path / "checkpoint"

    @property
    def scores(self) -> Path:
        """Summaries of every metric, for each split and file."""
        return self.path / "scores.json"

    @property
    def checks(self) -> Path:
        """What can be believed of each prediction: the outcome of every check."""
        return self.path / "checks.json"

    @property
    def full_checks(self) -> Path:
        """What further predictions and trainings say of it; there only where `--checks full` was asked for."""
        return self.path / "checks-full.json"

    @property
    def trials(self) -> Path:
        """Movies made for those, and the runs on them; gone when they are judged."""
        return self.path / "trials"

    @property
    def regions(self) -> Path:
        """Where a user wants the run to be looked at; there only where regions were given."""
        return self.path / "regions.json"

    @property
    def study_scores(self) -> Path:
        """Summaries by the protocol of the published study, for runs of its experiments."""
        return self.path / "scores-study.json"

    @property
    def frames(self) -> Path:
        """Scores of every frame of the predictions."""
        return self.path / "frames.csv"

    def control_frames(self, control: str) -> Path:
        """Scores of every frame of a control that prediction wrote."""
        return self.path / f"frames-{control}.csv"

    @property
    def crate(self) -> Path:
        """The record as an RO-Crate; its name is fixed by the specification."""
        return self.path / "ro-crate-metadata.json"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def shared_report(self) -> Path:
        """The report for other people, without the folders of this machine."""
        return self.path / "report-shared.html"

    @property
    def shared_record(self) -> Path:
        """The record for other people."""
        return self.path / "run-shared.json"

    @property
    def table(self) -> Path:
        """The tables of the report as text."""
        return self.path / "report.txt"

    @property
    def history(self) -> Path:
        """Losses of training, where the algorithm trains."""
        return self.job("train") / "history.json"

    def figures(self, command: str, split: str | None = None) -> Path:
        """Return the plots that a job declares; the file is there only where it does."""
        return self.job(command, split) / "figures.json"

    def job(self, command: str, split: str | None = None) -> Path:
        """Return the folder of a job: job.json, events.jsonl, log.txt, result.json."""
        return self.path / (command if split is None else f"{command}-{split}")

    def predictions(self, split: str) -> Path:
        """Return the folder of the predictions of a split."""
        return self.path / "predictions" / split

    def prediction(self, movie: str) -> Path:
        """Return the prediction of a movie, which is named as in run.json: SPLIT/NAME."""
        return self.path / "predictions" / movie

    @property
    def exports(self) -> Path:
        """Predictions in other forms."""
        return self.path / "exports"

    def control(self, control: str, movie: str) -> Path:
        """Return where prediction writes a control that the algorithm declares, for a movie named SPLIT/NAME."""
        return self.path / "predictions" / "extra" / control / movie


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepFolder:
    """Every path of one sweep.

    Parameters
    ----------
    path : Path
        `outputs/.sweeps/<name>`.
    report : Path
        The one page about its runs.
    """

    path: Path
    report: Path

    @property
    def lock(self) -> Path:
        """Held by the process that brings the tasks of the sweep to where they run."""
        return self.path / "lock"

    @property
    def record(self) -> Path:
        """What the sweep is: its tasks, and where the runs of those lie."""
        return self.path / "sweep.json"

    @property
    def reported(self) -> Path:
        """Digest of the runs that the page shows."""
        return self.path / "reported"

    @property
    def statuses(self) -> Path:
        """One small file for each task that has begun, written by the task itself."""
        return self.path / "status"

    def status(self, task: str) -> Path:
        """Return the status of a task."""
        return self.statuses / f"{task}.json"

    @property
    def logs(self) -> Path:
        """What each task printed."""
        return self.path / "logs"

    def log(self, task: str) -> Path:
        """Return what a task printed, all its attempts one after the other."""
        return self.logs / f"{task}.log"

    @property
    def rounds(self) -> Path:
        """One folder for each start of Snakemake."""
        return self.path / "rounds"


def existing_parent(path: Path) -> Path:
    """Return the path where it exists, else the nearest folder above it that does."""
    return next(one for one in (path, *path.parents) if one.exists())


def checkout() -> Layout:
    """Return the folders of this checkout, for what changes its files.

    Raises
    ------
    BadInput
        Where calm was installed without one.
    """
    found = layout()
    if found.root.name == CARRIED:
        message = f"expected a checkout of calm, got one installed in {found.root.parent}"
        raise BadInput(message, "Clone the repository and use the calm of its `make setup`; see the README.")
    return found


@contextmanager
def folder_for(path: Path) -> Iterator[None]:
    """Make the folder of a path for a block; where the block fails, folders that were made and are empty go again."""
    fresh = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in fresh:
            with suppress(OSError):  # others may use it by now
                folder.rmdir()
        raise


def free_bytes_at(path: Path) -> int:
    """Return the bytes that are free on the disk of a path, which need not exist yet."""
    return shutil.disk_usage(existing_parent(path)).free


def refusal_of(folder: Path) -> str | None:
    """Return why a folder takes no file of some size, as the system says it: a full disk, or a quota; None if it does.

    A file is written and deleted, because no other way of asking knows of quotas.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None


def check_writable(folder: Path) -> None:
    """Refuse a folder that takes no file, before hours are spent on what was to go there.

    Raises
    ------
    BadInput
        With what the system says.
    """
    refusal = refusal_of(folder)
    if refusal is not None:
        message = f"{folder}: expected a folder that can be written to, got: {refusal}"
        raise BadInput(message, "Choose another place, or ask for the right and the space to write there.")


def layout() -> Layout:
    """Return the folders of this checkout; without one, caches and data lie in the user's folders, runs below this one.

    CALM_HOME, CALM_OUTPUTS and CALM_DATA move those that grow; CALM_MANIFEST names a manifest of your own datasets.

    Raises
    ------
    BadInput
        When one of them is empty.
    """
    root = Path(__file__).resolve().parents[1]
    home, outputs, data = root / ".calm", root / "outputs", root / "data" / "files"
    if (root / CARRIED).exists():
        from platformdirs import user_cache_path, user_data_path  # noqa: PLC0415 - not in a checkout

        root = root / CARRIED
        home, outputs, data = user_cache_path("calm"), Path("outputs"), user_data_path("calm") / "data"

    def folder(variable: str, default: Path) -> Path:
        given = os.environ.get(variable)
        if given is not None and not given.strip():
            message = f"{variable}: expected a folder, got an empty text"
            raise BadInput(message, f"Unset it, or name a folder; without it that is {default}.")
        return Path(given or default).absolute()

    return Layout(
        root=root,
        home=folder("CALM_HOME", home),
        outputs=folder("CALM_OUTPUTS", outputs),
        data=folder("CALM_DATA", data),
        manifest=folder("CALM_MANIFEST", root / "data" / "manifest.yaml"),
    )
