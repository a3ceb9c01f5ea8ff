"""Tiles that a GPU computes together: as many as there is room for, never other bits, fewer where memory runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from contract.batches import Batches
from n2v.tests.pretend_gpu import pretend

if TYPE_CHECKING:
    from collections.abc import Callable

TILES = [torch.full((2, 3), float(number)) for number in range(11)]


class Network:
    """Doubles tiles and notes how many came together; with `drift`, bits depend on that number."""

    def __init__(self, *, drift: bool = False, full: Callable[[int], bool] = lambda _: False) -> None:
        self.sizes: list[int] = []
        self._drift, self._full = drift, full

    def __call__(self, tiles: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(tiles))
        if self._full(len(tiles)):
            raise torch.OutOfMemoryError
        return 2 * tiles + (1e-3 * len(tiles) if self._drift else 0)


def outputs(device: str, network: Network, said: list[str], at_once: int = 1) -> list[float]:
    found = Batches(device, said.append, network, at_once=at_once).over(iter(TILES))
    return [float(tile[0, 0]) for tile in found]


@pytest.mark.parametrize(("at_once", "sizes"), [(1, [1] * 11), (4, [4, 4, 3])])
def test_a_cpu_takes_as_many_at_once_as_it_is_told(at_once: int, sizes: list[int]) -> None:
    network, said = Network(), []
    assert outputs("cpu", network, said, at_once) == [2.0 * number for number in range(11)]
    assert (network.sizes, said) == (sizes, [])


def test_a_gpu_takes_as_many_as_fit_into_most_of_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """70 % of 6 tiles are 4; the first is also computed alone, and the last group is filled up to 4."""
    device, _ = pretend(monkeypatch, free_bytes=600, tile_bytes=100)
    network, said = Network(), []
    assert outputs(device, network, said) == [2.0 * number for number in range(11)]
    assert network.sizes == [1, 4, 4, 4]
    assert said == ["tiles that are computed at a time: 4"]


def test_tiles_whose_bits_depend_on_their_number_are_computed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    device, _ = pretend(monkeypatch, free_bytes=600, tile_bytes=100)
    network, said = Network(drift=True), []
    found = outputs(device, network, said)
    assert found == pytest.approx([2.0 * number + 1e-3 for number in range(11)])
    assert set(network.sizes[2:]) == {1}
    assert said == ["tiles are computed one by one: together they would have other bits on this GPU"]


def test_where_memory_runs_out_half_as_many_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    device, _ = pretend(monkeypatch, free_bytes=1200, tile_bytes=100)
    network, said = Network(full=lambda count: count > 4), []
    assert outputs(device, network, said) == [2.0 * number for number in range(11)]
    assert said[0] == "the GPU is out of memory with 8 tiles at a time, going on with 4"
    assert max(network.sizes[2:]) == 4


def test_a_tile_that_does_not_fit_alone_ends_as_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    device, _ = pretend(monkeypatch)
    with pytest.raises(torch.OutOfMemoryError):
        outputs(device, Network(full=lambda _: True), [])
