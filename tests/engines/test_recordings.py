"""A recording in several files is one movie on every engine: what a job reads is mounted, whichever file was named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tifffile
from recordings import FRAMES, ome_set

from contract.stacks import open_stack
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.data.checksums import Checksums
from orchestrator.data.movies import input_source
from orchestrator.data.stacks import make_stacks
from orchestrator.engines import engine_named
from orchestrator.engines.image import image_of, prepare
from orchestrator.paths import layout
from orchestrator.records.record import Choice
from orchestrator.runs.execute import execute
from orchestrator.runs.plan import make_plan
from orchestrator.runs.settings import Settings


def _recordings(folder):
    """Write three recordings of two files each and return how a user names them: a file, a folder and a pattern."""
    places = [folder / name for name in ("set", "numbered", "matched")]
    for place in places:
        place.mkdir()
    paths = ome_set(places[0], FRAMES, files=2)
    for place, name in zip(places[1:], ("a_{}.tif", "b_{}.tif"), strict=True):
        for index in range(2):
            tifffile.imwrite(place / name.format(index + 9), FRAMES[6 * index :][:6], photometric="minisblack")
    return paths[1], places[1], places[2] / "b_*.tif"


def test_files_of_a_recording_are_one_movie_on_every_engine(engine, tmp_path, quiet_progress):
    where = replace(layout(), outputs=tmp_path / "outputs")
    algorithm = load_algorithms(where.containers)["identity"]
    image, runner = image_of(algorithm, "cpu", where), engine_named(engine, where)
    if runner.find(image) is None:
        prepare(algorithm, image, where)
        runner.build(image)
    source = input_source(_recordings(tmp_path), Choice(), where)
    make_stacks(source.recordings.values(), lambda _: None)
    settings = Settings(preset="default", overrides={}, seed=1, threads=1)
    sums = Checksums(tmp_path / "sums.json")
    plan = make_plan(algorithm, image, source=source, settings=settings, layout=where, checksums=sums)
    execute(plan, runner, quiet_progress)
    assert len(plan.inputs) == 6
    predictions = sorted(plan.folder.path.glob("predictions/train/*.tif"))
    assert [path.name for path in predictions] == ["b_9.tif", "numbered.tif", "set_0.ome.tif"]
    for path in predictions:
        with open_stack(path) as stack:
            assert np.array_equal(stack.frames(0, len(FRAMES)), FRAMES)
