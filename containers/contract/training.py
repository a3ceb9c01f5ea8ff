"""A training loop that can be killed at any moment and, started again, ends with the same bits.

Every step draws its random numbers from the seed and the step number alone, so no generator state has to be saved.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from contract.errors import AlgorithmFailed, DidNotConverge, JobRefused
from contract.files import atomic, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from contract.events import Events
    from contract.job import Job

_SAVE_EVERY_S = 10.0  # what a kill costs at most; a state is written in far less
_SAVE_SHARE = 20  # never spend more than 1/20 of the time on saving
_LOOK_EVERY_S = 0.5  # losses stay on a GPU until then, as fetching one makes it wait
_STEP_PURPOSE = 0x57E9  # keeps the numbers of steps apart from those of other purposes


class Stateful(Protocol):
    """Anything with a torch state: a network, an optimiser, a schedule."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:  # noqa: ANN401 - torch returns various things
        """Restore the state."""


class Store(Protocol):
    """How the state of a training gets to disk and back."""

    file_name: str

    def save(self, path: Path, record: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        """Write a state at once and whole: what the loop remembers, as JSON has it, and the state of every part."""

    def record(self, path: Path) -> dict[str, Any]:
        """Return what the loop remembered in a saved state."""

    def restore(self, path: Path, parts: Mapping[str, Any]) -> None:
        """Put a saved state back into the parts."""


class TorchStore:
    """One file of torch; every part is a `Stateful`.

    Parameters
    ----------
    device : str
        Where the parts are.
    """

    file_name = "state.pt"

    def __init__(self, device: str) -> None:
        self._device = device

    def save(self, path: Path, record: Mapping[str, Any], parts: Mapping[str, Stateful]) -> None:
        """Write a state."""
        import torch  # noqa: PLC0415 - only where the image has it

        with atomic(path) as part_path:
            torch.save({**record, "parts": {name: part.state_dict() for name, part in parts.items()}}, part_path)

    def record(self, path: Path) -> dict[str, Any]:
        """Return what the loop remembered."""
        return {name: value for name, value in self._load(path).items() if name != "parts"}

    def restore(self, path: Path, parts: Mapping[str, Stateful]) -> None:
        """Put a saved state back."""
        state = self._load(path)["parts"]
        for name, part in parts.items():
            part.load_state_dict(state[name])

    def _load(self, path: Path) -> dict[str, Any]:
        import torch  # noqa: PLC0415 - only where the image has it

        state: dict[str, Any] = torch.load(path, map_location=self._device, weights_only=True)
        return state


@dataclass(kw_only=True, slots=True)
class History:
    """Losses so far, for the training curve.

    Parameters
    ----------
    loss : list of float
        One value per step.
    val_loss : list of [int, float]
        Step (counted from 1) and validation loss.
    """

    loss: list[float] = field(default_factory=list)
    val_loss: list[list[float]] = field(default_factory=list)


def run_steps(  # noqa: PLR0913 - one callable per role
    job: Job,
    events: Events,
    *,
    parts: Mapping[str, Any],
    steps: int,
    step: Callable[[int], Any],
    looked_at: Callable[[int, Any], float] | None = None,
    validate: Callable[[], float] | None = None,
    validate_every: int = 0,
    store: Store | None = None,
) -> History:
    """Run a resumable training.

    Parameters
    ----------
    job : Job
        A train job; the state goes to a file of `job.checkpoint`, the losses to `job.folder / "history.json"`.
    events : Events
        Progress and losses go here.
    parts : mapping of str to Stateful
        Everything that training changes: network, optimiser, schedule; or what `store` can keep.
    steps : int
        Steps in all.
    step : callable
        Does optimisation step number 0 .. steps - 1 and returns its loss: a number, or a tensor, which may stay on the
        device. Python, numpy and, where it is installed, torch are seeded from (job.seed, number) before each call; it
        must depend on nothing else that changes.
    looked_at : callable, optional
        Number of a step and what `step` returned, fetched from the device -> its loss; called in order, on a GPU some
        steps later. By default a loss that is not finite ends the training.
    validate : callable, optional
        Returns the validation loss; called every `validate_every` steps, may step a schedule. Its random
        numbers go on from those of the step before it, so a resumed training draws the same.
    validate_every : int
        Steps between validations.
    store : Store, optional
        Keeps the state; one of torch where none is given.

    Returns
    -------
    History
        Losses of all steps, also those before a resume.

    Raises
    ------
    DidNotConverge
        When a loss is not finite.
    JobRefused
        When the checkpoint folder belongs to another job.
    AlgorithmFailed
        When the state there cannot be restored; it is set aside, so that the next start begins anew.
    """
    job.checkpoint.mkdir(parents=True, exist_ok=True)
    store = store or TorchStore(job.device)
    done, history = _resume(store, job, parts, events)
    clock, waiting = SaveClock(), Waiting(job.device)
    for number in range(done, steps):
        seed_step(job.seed, number)
        waiting.add(step(number))
        last = number + 1 == steps
        validated = validate is not None and validate_every and (number + 1) % validate_every == 0
        if not (last or validated or waiting.due() or clock.due()):
            continue
        for value in waiting.fetch():
            history.loss.append((looked_at or _finite)(len(history.loss), value))
        val_loss = validate() if validate is not None and validated else None
        history.val_loss += [] if val_loss is None else [[number + 1, val_loss]]
        events.step(number + 1, steps, loss=history.loss[-1], val_loss=val_loss)
        if last or clock.due():
            with clock:
                _save(store, job, parts, number + 1, history)
    write_json(job.folder / "history.json", {"loss": history.loss, "val_loss": history.val_loss})
    return history


def seed_step(seed: int, number: int) -> None:
    """Seed python, numpy and (where installed) torch for one step from the seed and the step number."""
    words = np.random.SeedSequence(entropy=seed, spawn_key=(_STEP_PURPOSE, number)).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002 - upstream code draws from the global generator
    try:
        import torch  # noqa: PLC0415 - only where the image has it
    except ModuleNotFoundError:
        return
    torch.manual_seed(int(words[2]))


def _finite(number: int, loss: float) -> float:
    if not math.isfinite(loss):
        message = f"the loss of step {number + 1} is {loss}; training cannot go on from here"
        raise DidNotConverge(message)
    return float(loss)


class Waiting:
    """Losses of the last steps; those on a GPU stay there until they are looked at, now and then and all at once.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        Of the job; on a CPU no loss waits.
    """

    def __init__(self, device: str) -> None:
        self._every_s = _LOOK_EVERY_S if device == "cuda" else 0.0
        self._losses: list[Any] = []
        self._due_s = 0.0

    def add(self, loss: Any) -> None:  # noqa: ANN401 - a number or a tensor
        """Take the loss of the next step."""
        self._losses.append(loss)

    def due(self) -> bool:
        """Return whether it is time to look."""
        return time.monotonic() >= self._due_s

    def fetch(self) -> list[Any]:
        """Return the losses that waited: numbers, or lists of numbers where tensors hold several."""
        losses, self._losses = self._losses, []
        if losses and not isinstance(losses[0], int | float):
            import torch  # noqa: PLC0415 - only where the image has it

            losses = torch.stack(losses).tolist()
        self._due_s = time.monotonic() + self._every_s
        return losses


class SaveClock:
    """Says when a state is due, so that saving costs little however large the state is; saving is done `with` it."""

    def __init__(self) -> None:
        self._due_s = time.monotonic() + _SAVE_EVERY_S
        self._began_s = 0.0

    def due(self) -> bool:
        """Return whether it is time to save."""
        return time.monotonic() >= self._due_s

    def __enter__(self) -> None:
        self._began_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        now_s = time.monotonic()
        self._due_s = now_s + max(_SAVE_EVERY_S, _SAVE_SHARE * (now_s - self._began_s))


def _fingerprint(job: Job) -> dict[str, Any]:
    """Name what a state belongs to; stacks may lie elsewhere by now, such as on the disk of another node."""
    stacks = (*job.inputs.train, *job.inputs.target)
    return {"params": job.params, "seed": job.seed, "train": [[path.name, path.stat().st_size] for path in stacks]}


def _save(store: Store, job: Job, parts: Mapping[str, Any], done: int, history: History) -> None:
    record = {"done": done, "job": _fingerprint(job), "loss": history.loss, "val_loss": history.val_loss}
    store.save(job.checkpoint / store.file_name, record, parts)


def _resume(store: Store, job: Job, parts: Mapping[str, Any], events: Events) -> tuple[int, History]:
    path = job.checkpoint / store.file_name
    if not path.exists():
        return 0, History()
    try:
        record = store.record(path)
        theirs, done = record["job"], int(record["done"])
        history = History(loss=[*record["loss"]], val_loss=[*record["val_loss"]])
        if len(history.loss) != done:
            message = f"{done} steps and {len(history.loss)} losses"
            raise ValueError(message)
    except Exception as error:  # noqa: BLE001 - torch and h5py raise many classes on damaged files
        aside = _set_aside(path, job)
        events.message(f"{path} cannot be read ({type(error).__name__}) and lies at {aside}; training starts anew")
        return 0, History()
    if theirs != _fingerprint(job):
        message = f"{path}: expected the state of this job, got one with other params, seed or training stacks"
        raise JobRefused(message)
    try:
        store.restore(path, parts)
    except Exception as error:  # what was restored before cannot be undone, so this training cannot go on
        message = f"{path}: expected the state of a training, got one that cannot be restored ({type(error).__name__})"
        message += f"; it lies at {_set_aside(path, job)} now, and the same command starts the training anew"
        raise AlgorithmFailed(message) from error
    events.message(f"resuming after step {done}")
    return done, history


def _set_aside(path: Path, job: Job) -> Path:
    """Move a state out of the checkpoint, of which it is no part any more."""
    return path.rename(job.folder / f"{path.name}.damaged")
