"""That a virtual environment is made from the wheels of its lock and nothing else."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from contract.files import sha256
from orchestrator.domain import Image
from orchestrator.engines.venv import VenvEngine
from orchestrator.paths import layout


def _wheel(folder, version):
    folder.mkdir(exist_ok=True)
    path = folder / f"thing-{version}-py3-none-any.whl"
    info = f"thing-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("source", ["variable", "file"])
def test_wheels_that_uv_is_configured_to_look_for_elsewhere_do_not_get_in(tmp_path, monkeypatch, source):
    """A local version such as +cpu outranks the plain one of the lock, and the hash then refuses the environment."""
    wheels = tmp_path / "wheels"
    (wheels.parent / "context").mkdir()
    wheel = _wheel(wheels, "1.0")
    (wheels / "requirements.lock").write_text(f"thing==1.0 --hash=sha256:{sha256(wheel)}\n")
    elsewhere = _wheel(tmp_path / "elsewhere", "1.0+cpu").parent
    if source == "variable":
        monkeypatch.setenv("UV_FIND_LINKS", str(elsewhere))
    else:
        (tmp_path / "uv.toml").write_text(f"[pip]\nfind-links = ['{elsewhere}']\n")
        monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    image = Image(
        algorithm="thing", variant="cuda", digest="0", lock=wheels / "requirements.lock", wheelhouse=wheels,
        context=tmp_path / "context",
    )  # fmt: skip
    made = VenvEngine(replace(layout(), home=tmp_path / "home")).build(image)
    assert [one.name for one in Path(made).rglob("thing-*")] == ["thing-1.0.dist-info"]
