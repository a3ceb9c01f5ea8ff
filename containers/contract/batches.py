"""How many tiles go through a network together: on a GPU as many as there is room for, where that changes no bit."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from contract.device import free_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SHARE = 0.7  # of the free memory; what several tiles need together is only known from one
_MOST = 64  # tiles; a GPU has enough to do by then


class Batches:
    """A network that is given several tiles at once.

    On a GPU the first tile is computed alone, which shows how much memory a tile takes, and once more among others:
    where its bits change, all tiles are computed alone. So the result is the same whatever the GPU has free.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        Of the job.
    tell : callable
        Is told how many tiles there is room for, and where they must be fewer.
    apply : callable
        Tensor of n tiles -> tensor of n results.
    at_once : int
        Tiles at once on a CPU.
    """

    def __init__(
        self, device: str, tell: Callable[[str], None], apply: Callable[[Any], Any], *, at_once: int = 1
    ) -> None:
        self._device, self._tell, self._apply = device, tell, apply
        self._size = 0 if device == "cuda" else at_once

    def over(self, tiles: Iterable[Any]) -> Iterator[Any]:
        """Yield the result of every tile, in order.

        Parameters
        ----------
        tiles : iterable of Tensor
            All of one shape, in main memory.
        """
        coming = iter(tiles)
        if not self._size:
            yield from self._try(coming)
        while group := list(islice(coming, self._size)):
            yield from self._together(group)

    def _try(self, coming: Iterator[Any]) -> Iterator[Any]:
        """Compute the first tile alone and then among others, and see how many there may be."""
        first = list(islice(coming, 1))
        if not first:
            return
        alone, taken_bytes = _measured(lambda: self._apply(self._batch(first)))
        room = max(1, int(_SHARE * free_bytes() / max(1, taken_bytes)))
        group = [*first, *islice(coming, min(_MOST, room) - 1)]
        self._size = len(group)
        results = list(self._together(group)) if len(group) > 1 else [alone[0]]
        if bool((results[0] == alone[0]).all()):
            self._tell(f"tiles that are computed at a time: {self._size}")
            yield from results
            return
        self._size = 1
        self._tell("tiles are computed one by one: together they would have other bits on this GPU")
        yield alone[0]
        for tile in group[1:]:
            yield from self._together([tile])

    def _together(self, tiles: list[Any]) -> Iterator[Any]:
        """Compute some tiles at once; where the GPU runs out of memory, go on with half as many, and say so."""
        import torch  # noqa: PLC0415 - only where the image has it

        try:
            results = self._apply(self._batch(tiles))
        except torch.OutOfMemoryError:
            if len(tiles) == 1:
                raise
            self._size = len(tiles) // 2
            self._tell(f"the GPU is out of memory with {len(tiles)} tiles at a time, going on with {self._size}")
        else:
            yield from results[: len(tiles)].unbind(0)
            return
        torch.cuda.empty_cache()  # what the failed attempt held is free by now
        coming = iter(tiles)
        while group := list(islice(coming, self._size)):
            yield from self._together(group)

    def _batch(self, tiles: list[Any]) -> Any:  # noqa: ANN401 - torch is optional for the contract
        """Return tiles on the device; on a GPU always as many as last time or one, as others may take another path."""
        import torch  # noqa: PLC0415 - only where the image has it

        there = [tile.to(self._device, non_blocking=True) for tile in tiles]
        if len(there) == 1:
            return there[0][None]
        return torch.stack(there + there[-1:] * (self._size - len(there)) * (self._device == "cuda"))


def _measured(call: Callable[[], Any]) -> tuple[Any, int]:
    """Return what a call returns, and the memory of the GPU that it took at most."""
    import torch  # noqa: PLC0415 - only where the image has it

    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    result = call()
    return result, torch.cuda.max_memory_allocated() - before
