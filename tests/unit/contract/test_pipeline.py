"""Threads that read ahead and write behind: order, backpressure and what goes wrong stay those of a plain loop."""

from __future__ import annotations

import threading

import pytest

from contract.pipeline import ahead, behind, depth_for


def test_a_cpu_gets_no_thread_for_itself_and_a_gpu_one():
    assert (depth_for("cpu"), depth_for("cuda")) == (0, 1)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_items_come_in_order(depth):
    assert list(ahead(iter(range(10)), depth)) == list(range(10))


def test_the_next_item_is_made_while_one_is_looked_at():
    made = [threading.Event() for _ in range(3)]

    def items():
        for event in made:
            event.set()
            yield event

    for number, _ in enumerate(ahead(items(), 1)):
        assert made[min(number + 1, 2)].wait(30)


@pytest.mark.parametrize("depth", [0, 2])
def test_an_error_comes_where_its_item_would_have_come(depth):
    found = ahead((1 // number for number in (1, 0)), depth)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_a_reader_that_stops_early_leaves_no_thread_behind():
    before = threading.active_count()
    items = ahead(iter(range(1000)), 2)
    next(items)
    items.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_everything_is_written_in_order_by_the_end_of_the_block(depth):
    written = []
    with behind(written.append, depth) as hand_over:
        for item in range(10):
            hand_over(item)
    assert written == list(range(10))


def test_no_more_items_wait_than_asked_for():
    gate, written, handed = threading.Event(), [], []

    def write(item):
        gate.wait(30)
        written.append(item)

    def hand_all():
        with behind(write, 1) as hand_over:
            for item in range(4):
                hand_over(item)
                handed.append(item)

    thread = threading.Thread(target=hand_all)
    thread.start()
    thread.join(0.2)
    assert len(handed) <= 2, "one is being written and one waits"
    gate.set()
    thread.join(30)
    assert written == [0, 1, 2, 3]


@pytest.mark.parametrize("depth", [0, 1])
def test_an_error_in_writing_ends_the_block(depth):
    def hand_all():
        with behind(lambda item: 1 // item, depth) as hand_over:
            for item in (1, 0, 1, 1):
                hand_over(item)

    with pytest.raises(ZeroDivisionError):
        hand_all()


def test_what_was_handed_over_before_an_error_elsewhere_is_written():
    written = []

    def hand_one():
        with behind(written.append, 2) as hand_over:
            hand_over(1)
            raise KeyError

    with pytest.raises(KeyError):
        hand_one()
    assert written == [1]
