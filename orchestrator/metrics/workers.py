"""Threads over frames, with results in the order of the frames."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")


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
