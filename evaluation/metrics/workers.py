"""Threads over frames and files, with results in their order."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Item = TypeVar("Item")
Result = TypeVar("Result")


class Shaped(Protocol):
    """A movie, described by its shape."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""


Movie = TypeVar("Movie", bound=Shaped)


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Apply a function to items on several threads and yield the results in the order of the items.

    Items are taken in the calling thread, two per thread ahead at most, so memory does not grow with their
    number and whatever reads them needs no lock. NumPy and SciPy release the interpreter while they compute.

    Parameters
    ----------
    function : callable
        Must not change shared state.
    items : iterable
    threads : int
        Worker threads; 1 computes in the calling thread.

    Yields
    ------
    object
        Results; the same ones in the same order for every number of threads.

    Raises
    ------
    ValueError
        If fewer than one thread is asked for.
    """
    if threads < 1:
        message = f"threads: expected at least 1, got {threads}"
        raise ValueError(message)
    if threads == 1:
        yield from map(function, items)
        return
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def over_files(movies: Mapping[str, Movie], score: Callable[[str, Movie, int], Result]) -> dict[str, Result]:
    """Score movies one after the other with all cores on their frames, and single images side by side.

    Parameters
    ----------
    movies : mapping of str to object
        By name, each with a ``shape``, (T, Y, X).
    score : callable
        From name, movie and number of threads to its scores, which must not depend on that number.

    Returns
    -------
    dict
        Scores by name, sorted. At most one image per core, or one movie, is being scored at a time.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    names = sorted(movies)
    images = [name for name in names if movies[name].shape[0] == 1]
    found = dict(zip(images, ordered_map(lambda name: score(name, movies[name], 1), images, cores), strict=True))
    found |= {name: score(name, movies[name], cores) for name in names if name not in found}
    return {name: found[name] for name in names}
