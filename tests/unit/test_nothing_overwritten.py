"""`--to` replaces pages of calm and nothing else; what cannot run leaves nothing behind and starts nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from orchestrator.cli.root import PagePath
from orchestrator.errors import BadInput, EngineMissing
from orchestrator.paths import RunFolder
from orchestrator.runs import session as module
from orchestrator.runs.session import Session


def _to(path):
    return PagePath().convert(str(path), None, None)


def test_a_free_name_and_a_page_of_calm_are_taken(tmp_path):
    page = tmp_path / "page.html"
    assert _to(page) == page
    page.write_text("<!DOCTYPE html>\n<!-- key of this page: 12 -->\n")
    assert _to(page) == page


@pytest.mark.parametrize("kind", ["a page of the user", "a folder", "a link to a movie", "a device"])
def test_whatever_else_is_there_is_refused_and_kept(tmp_path, kind):
    path = tmp_path / "page.html"
    if kind == "a page of the user":
        path.write_text("<!DOCTYPE html>\n<title>My thesis</title>\n")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a link to a movie":
        (tmp_path / "movie.tif").write_bytes(b"II*\0")
        path.symlink_to(tmp_path / "movie.tif")
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(BadInput, match="expected a free name or a page that calm wrote"):
        _to(path)
    assert path.exists()


def test_a_name_of_another_kind_is_refused(tmp_path):
    with pytest.raises(BadInput, match="expected a file named"):
        _to(tmp_path / "movie.tif")


def test_a_refused_page_leaves_no_folder_behind(calm, tmp_path):
    done = calm("report", tmp_path / "no-run", "--to", tmp_path / "new" / "page.html")
    assert done.returncode == 2
    assert not (tmp_path / "new").exists()


@dataclass(frozen=True, kw_only=True)
class Lacking(Session):
    """A session that can build every environment but that of a control."""

    built: list = field(default_factory=list)

    def build(self, algorithm, image):  # noqa: ARG002 - as in the session
        if algorithm == "control":
            message = "no image of the control"
            raise EngineMissing(message, "Build it.")
        self.built.append(algorithm)
        return SimpleNamespace(unusable=())


def test_no_job_starts_before_the_environments_of_the_controls_are_there(monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(module, "found", lambda _: None)
    monkeypatch.setattr(module, "execute", lambda plan, *_: started.append(plan))
    session = Lacking(layout=None, engine_name="apptainer", progress=None, say=None)
    wheels = SimpleNamespace(wheelhouse=tmp_path)
    plans = [
        SimpleNamespace(algorithm=name, image=wheels, folder=RunFolder(path=tmp_path / name), jobs=tuple)
        for name in ("algorithm", "control")
    ]
    with pytest.raises(EngineMissing, match="no image of the control"):
        session.run_all(plans)
    assert session.built == ["algorithm"]
    assert started == []
