"""Reading ahead and writing behind on threads, so that a GPU need not wait for a disk."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

_END = object()


def depth_for(device: str) -> int:
    """Return how many items should be on their way at a time: on a CPU none, as threads would only share its cores."""
    return 1 if device == "cuda" else 0


def ahead(items: Iterable[T], depth: int) -> Iterator[T]:
    """Yield items while the next ones are being made on a thread.

    Parameters
    ----------
    items : iterable
        Made one after the other, in order, and by one thread only.
    depth : int
        Items that are made before they are asked for; 0 is none, and no thread.

    Yields
    ------
    item
        In order. What goes wrong in making one is raised where it would have come.
    """
    if depth == 0:
        yield from items
        return
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming: deque[Future[object]] = deque(thread.submit(next, iterator, _END) for _ in range(depth))
        while (item := coming.popleft().result()) is not _END:
            coming.append(thread.submit(next, iterator, _END))
            yield cast("T", item)


def in_turn(make: Callable[[int], T], stop: int, depth: int) -> Callable[[int], T]:
    """Return a function that gives what belongs to a number, where numbers are asked for one after the other.

    Parameters
    ----------
    make : callable
        Makes what belongs to a number, and depends on nothing else; for the number asked for first and all after it.
    stop : int
        No number is as large.
    depth : int
        As in `ahead`.
    """
    items: Iterator[T] | None = None

    def take(number: int) -> T:
        nonlocal items
        if items is None:
            items = ahead(map(make, range(number, stop)), depth)
        return next(items)

    return take


def later(items: Iterable[T], depth: int) -> Iterator[T]:
    """Yield items once `depth` more have been made, all by one thread: what a GPU was given is waited for that late."""
    made: deque[T] = deque()
    for item in items:
        made.append(item)
        if len(made) > depth:
            yield made.popleft()
    yield from made


@contextmanager
def behind(write: Callable[[T], None], depth: int) -> Iterator[Callable[[T], None]]:
    """Give a function that does the work of `write` on a thread.

    Parameters
    ----------
    write : callable
        Called for every item, in order, by one thread only.
    depth : int
        Items that may wait; a further one is taken once the first is written. 0 is none, and no thread.

    Yields
    ------
    callable
        Takes an item and returns before it is written. What goes wrong is raised by a later call, or at the end of
        the block, where everything is written.
    """
    if depth == 0:
        yield write
        return
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[None]] = deque()

        def hand_over(item: T) -> None:
            if len(waiting) > depth:
                waiting.popleft().result()
            waiting.append(thread.submit(write, item))

        yield hand_over
        for future in waiting:
            future.result()
