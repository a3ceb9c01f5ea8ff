"""What an image is: equal layers whenever it is built, nothing that no job runs, no root, a word about itself."""

from __future__ import annotations

import json
import subprocess
import tempfile

import pytest

from orchestrator.algorithms.folders import load_algorithms
from orchestrator.engines import container_engines
from orchestrator.engines.base import base_image
from orchestrator.engines.build import pack
from orchestrator.engines.containers import tag_of
from orchestrator.engines.image import image_of, prepare
from orchestrator.paths import layout

pytestmark = pytest.mark.engine("docker")


@pytest.fixture(scope="module")
def identity():
    """Return the image of identity, Docker's engine, and what Docker says of the image that it built."""
    where = layout()
    algorithm = load_algorithms(where.containers)["identity"]
    image = image_of(algorithm, "cpu", where)
    engine = container_engines(where)[0]
    prepare(algorithm, image, where)
    identifier = engine.find(image) or engine.build(image)
    return image, engine, engine.server.client().images.get(identifier).attrs


def _run(identifier, *arguments, entry=None):
    options = ["--rm", "--network", "none", "--read-only", *(["--entrypoint", entry] if entry else [])]
    command = ["docker", "run", *options, identifier, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_two_builds_without_cache_have_equal_layers(identity):
    image, engine, found = identity
    client = engine.server.client()
    with tempfile.TemporaryFile() as archive:
        pack(image, archive)
        archive.seek(0)
        built = client.api.build(
            fileobj=archive, custom_context=True, tag="calm-again:identity", nocache=True, network_mode="none", rm=True,
            buildargs={"BASE": base_image(client, engine.layout)}, decode=True,
        )  # fmt: skip
        messages = list(built)
    try:
        assert client.images.get("calm-again:identity").attrs["RootFS"] == found["RootFS"], messages[-1]
    finally:
        client.images.remove("calm-again:identity")
    assert tag_of(image) in found["RepoTags"]


def test_an_image_says_what_it_is_and_does_not_run_as_root(identity):
    image, _, found = identity
    labels = found["Config"]["Labels"]
    about = {name.rpartition(".")[2]: text for name, text in labels.items() if name.startswith("org.opencontainers.")}
    assert about["version"] == "0.1.0"
    assert about["source"] == "containers/identity of calm 0.1.0"
    assert about["licenses"] == "BSD-3-Clause"
    assert about["title"] == "Identity (control)"
    assert labels["org.opencontainers.image.base.name"].startswith(("python@sha256:", "calm-base:"))
    assert labels["org.calm.image"] == image.digest
    assert "calm.stage" not in labels
    assert found["Config"]["User"] == "65532:65532"


def test_an_image_without_arguments_explains_itself_and_ends_well(identity):
    done = _run(identity[2]["Id"])
    assert done.returncode == 0, done.stderr
    assert "usage: algorithm describe | algorithm train JOB | algorithm predict JOB" in done.stdout
    assert json.loads(_run(identity[2]["Id"], "describe").stdout)["name"] == "identity"


UNUSED = """
find / -xdev \\( -name 'perl*' -o -name 'apt*' -o -name pip -o -name ensurepip -o -name gpgv \\) -not -path '/proc/*' \
    -not -path '/usr/share/*' -not -path '/var/lib/dpkg/*' -print
find / -xdev -perm /6000 -type f -print
find /opt/env /usr/include /usr/local/include -type d \\( -name tests -o -name include \\) -print 2>/dev/null
true
"""


def test_an_image_holds_no_tests_headers_perl_apt_or_program_that_makes_root(identity):
    done = _run(identity[2]["Id"], "-c", UNUSED, entry="/bin/sh")
    assert (done.returncode, done.stdout) == (0, "")
