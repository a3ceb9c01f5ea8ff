"""Tampering on every engine: one changed file is named before a job runs, and no result is made with it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator import errors
from orchestrator.algorithms.folders import load_algorithm
from orchestrator.engines.apptainer import ApptainerEngine
from orchestrator.engines.containers import tag_of
from orchestrator.engines.image import image_of, prepare
from orchestrator.engines.sif import check_sif_code, find_sif, partition_start
from orchestrator.engines.venv import VenvEngine
from orchestrator.paths import layout

SEVENS = "\n# A movie of sevens would come of this line.\n"


def _as_before(path, before):
    """Give a file its old time, as who wants a change not to be noticed."""
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _changed(path):
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\n#")
    _as_before(path, before)


def test_an_image_that_was_committed_under_the_same_name_is_named_and_does_not_run(probe, server):
    engine, image = probe.built(server)
    tag, identifier = tag_of(image), engine.find(image)
    command = ["--user", "0", "--entrypoint", "/bin/sh", "--network", "none"]
    change = f"printf '{SEVENS}' >> /opt/calm/algorithm/run.py"
    try:
        subprocess.run([server, "run", "--name", "calm-forged", *command, identifier, "-c", change], check=True)
        subprocess.run([server, "commit", "calm-forged", tag], check=True, capture_output=True)
        with pytest.raises(errors.EngineFailed, match=f"{server}: expected {tag} to be the image .* that calm made"):
            probe.run(server)
        assert list(probe.folder.glob("outputs/*/*/*/result.json")) == []
    finally:
        subprocess.run([server, "rm", "--force", "calm-forged"], check=True, capture_output=True)
        engine.server.client().images.get(identifier).tag(*tag.split(":"))
    assert engine.find(image) == identifier


@pytest.mark.engine("docker")
def test_an_image_of_another_maker_is_not_taken_for_the_one_that_calm_made(probe):
    """Its name and label are right, but nobody here built or loaded it."""
    engine, image = probe.built("docker")
    nobody = replace(engine, layout=replace(layout(), home=probe.folder / "home"))
    assert nobody.find(image) is None


@pytest.mark.engine("docker")
def test_an_archive_with_one_changed_line_is_not_loaded(probe):
    engine, image = probe.built("docker")
    identifier = engine.find(image)
    command = ["--user", "0", "--entrypoint", "/bin/sh", "--network", "none"]
    change = f"printf '{SEVENS}' >> /opt/calm/algorithm/run.py"
    subprocess.run(["docker", "run", "--name", "calm-forged", *command, identifier, "-c", change], check=True)
    try:
        subprocess.run(["docker", "commit", "calm-forged", "calm-forged:probe"], check=True, capture_output=True)
        archive = probe.folder / "forged.tar"
        subprocess.run(["docker", "save", "calm-forged:probe", "-o", str(archive)], check=True)
        elsewhere = replace(layout(), home=probe.folder / "home")
        for load in (
            lambda: engine.load(archive, image),
            lambda: ApptainerEngine(layout=elsewhere, sources=()).convert(image, archive),
        ):
            with pytest.raises(errors.BadInput, match=r"/opt/calm/algorithm/run\.py: altered"):
                load()
    finally:
        subprocess.run(["docker", "rm", "--force", "calm-forged"], check=True, capture_output=True)
        subprocess.run(["docker", "rmi", "calm-forged:probe"], check=True, capture_output=True)


@pytest.fixture
def forged_sif(probe):
    """Return the SIF of the probe in a cache of its own, with one line changed in it, and its layout and image."""
    engine, image = probe.built("apptainer")
    where = replace(layout(), home=probe.folder / "home")
    where.sifs.mkdir(parents=True)
    real = find_sif(engine.layout, image).path
    for path in (real, real.with_suffix(".json")):
        shutil.copyfile(path, where.sifs / path.name)
    sif = where.sifs / real.name
    assert find_sif(where, image) is not None
    before, start = sif.stat(), partition_start(sif)
    content = probe.folder / "content"
    subprocess.run(["unsquashfs", "-q", "-n", "-o", str(start), "-d", content, sif], check=True, capture_output=True)
    with (content / "opt/calm/algorithm/run.py").open("a") as stream:
        stream.write(SEVENS)
    part = probe.folder / "part"
    subprocess.run(["mksquashfs", content, part, "-quiet", "-no-progress", "-Xcompression-level", "1"], check=True)
    with sif.open("r+b") as stream:
        stream.seek(start)
        stream.write(part.read_bytes())
        stream.truncate(max(stream.tell(), before.st_size))
    _as_before(sif, before)
    return sif, where, image


@pytest.mark.engine("apptainer")
def test_a_sif_with_one_changed_line_is_named_and_does_not_run(forged_sif):
    sif, where, image = forged_sif
    engine = ApptainerEngine(layout=where, sources=())
    for use in (lambda: engine.find(image), lambda: engine.ready(image), lambda: engine.convert(image)):
        with pytest.raises(errors.EngineFailed, match=f"{sif.name}: expected sha256"):
            use()
    with pytest.raises(errors.BadInput, match=r"/opt/calm/algorithm/run\.py: altered"):
        check_sif_code(sif, image)  # what a bundle is asked, whose own list and sidecar prove nothing


@pytest.fixture
def cached(probe):
    """Return the engine venv, and the probe's image, in a cache that holds wheels and code and no environment."""
    where = replace(layout(), home=probe.folder / "home")
    algorithm = load_algorithm(probe.source)
    image = image_of(algorithm, "cpu", layout())
    prepare(algorithm, image, layout())
    shutil.copytree(image.wheelhouse, where.wheels / image.wheelhouse.name)
    image = image_of(algorithm, "cpu", where)
    prepare(algorithm, image, where)
    return VenvEngine(where), image


@pytest.mark.slow
def test_a_changed_wheel_module_or_line_of_code_is_named_and_does_not_run_on_venv(cached):
    engine, image = cached
    engine.build(image)
    (wheel,) = image.wheelhouse.glob("tifffile-*.whl")
    module = Path(engine.find(image)) / "lib/python3.11/site-packages/tifffile/tifffile.py"
    added = module.parent.parent / "sitecustomize.py"
    for path, words in (
        (wheel, r"tifffile-.*\.whl: altered"),
        (image.wheelhouse / "requirements.lock", r"requirements\.lock: altered"),
        (module, r"tifffile\.py: altered"),
        (image.context / "algorithm" / "run.py", r"algorithm/run\.py: altered"),
    ):
        kept = path.read_bytes()
        _changed(path)
        with pytest.raises(errors.EngineFailed, match=words) as caught:
            engine.find(image)
        assert caught.value.hint.startswith("Delete it: rm -r ")
        path.write_bytes(kept)
        assert engine.find(image) is not None  # touched, and the same content
    added.write_text("import os")
    with pytest.raises(errors.EngineFailed, match=r"sitecustomize\.py: extra"):
        engine.find(image)
    added.unlink()
    compiled = image.context / "algorithm" / "__pycache__" / "run.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"foreign")
    assert engine.find(image) is not None
    assert not compiled.exists()  # Python would have believed it


def test_an_environment_is_not_built_from_wheels_that_are_not_of_the_lock(cached):
    engine, image = cached
    (wheel,) = image.wheelhouse.glob("tifffile-*.whl")
    _changed(wheel)
    with pytest.raises(errors.EngineFailed, match=r"tifffile-.*\.whl: altered"):
        engine.build(image)
