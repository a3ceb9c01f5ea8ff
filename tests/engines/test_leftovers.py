"""Old images in real engines: named with the command that removes them, those in use left alone."""

from __future__ import annotations

from orchestrator.algorithms.folders import load_algorithms
from orchestrator.doctor.old_images import leftovers
from orchestrator.engines import engine_named
from orchestrator.engines.containers import tag_of
from orchestrator.engines.image import image_of, prepare
from orchestrator.paths import layout


def test_an_image_that_no_algorithm_folder_asks_for_is_old_and_that_of_a_folder_is_not(probe, server):
    """The probe's folder is not among the algorithm folders; the image of identity is asked for."""
    where = layout()
    identity = load_algorithms(where.containers)["identity"]
    current = image_of(identity, "cpu", where)
    engine = engine_named(server, where)
    if engine.find(current) is None:
        prepare(identity, current, where)
        engine.build(current)
    _, old = probe.built(server)
    (found,) = (one for one in leftovers(where) if one.engine == server)
    assert tag_of(old) in found.names
    assert tag_of(current) not in found.names
    assert found.command.startswith(f"{server} rmi ")
