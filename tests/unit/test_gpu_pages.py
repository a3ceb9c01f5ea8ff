"""The pages of the script that measures a card: what is withheld, and which table users see."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def gpu(monkeypatch):
    """Return the modules of the script, which is no package of calm."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from gpu import bench, pages, records  # noqa: PLC0415 - found only now

    yield {"Bench": bench.Bench, "pages": pages, "records": records}
    for name in [name for name in sys.modules if name == "gpu" or name.startswith("gpu.")]:
        del sys.modules[name]


def bench_of(gpu, tmp_path):
    return gpu["Bench"](folder=tmp_path, device="cuda", threads=1, tiny=True, packages=tmp_path)


def figure(gpu, name="frames a second of the whole job", value: object = 31.0, case="fast", arithmetic="bfloat16"):
    return gpu["records"].Figure(case=case, name=name, value=value, unit="1/s", arithmetic=arithmetic)


@pytest.mark.parametrize(
    ("verdict", "shown", "note"),
    [
        ("agrees", 31.0, ""),
        ("convolutions are WRONG on this card", None, "withheld: convolutions are WRONG on this card"),
        (None, None, "withheld: not compared with float64 on this machine"),
    ],
)
def test_figures_in_bfloat16_are_published_only_where_it_was_seen_to_be_right(gpu, tmp_path, verdict, shown, note):
    bench = bench_of(gpu, tmp_path)
    if verdict:
        bench.publishable(figure(gpu, "verdict", verdict, case="bfloat16", arithmetic=""))
    found = bench.publishable(figure(gpu))
    assert (found.value, found.note) == (shown, note)
    assert bench.publishable(figure(gpu, arithmetic="")).value == 31.0


def report_of(gpu, *figures):
    records = gpu["records"]
    machine = [records.Figure(case="machine", name="card", value="NVIDIA X")]
    outcomes = [
        records.Outcome(name="machine", asks="Which?", status="done", figures=machine),
        records.Outcome(name="n2v", asks="How fast?", status="under way", figures=list(figures)),
    ]
    return records.Report(date="2026-12-01", device="cuda", command="gpu.py", outcomes=outcomes)


def test_the_table_for_users_is_made_from_the_document_of_a_session(gpu):
    told = report_of(
        gpu, figure(gpu), figure(gpu, "peak GPU memory", 3.96, arithmetic=""), figure(gpu, value=None, case="half")
    )
    again = gpu["records"].read_report(json.loads(json.dumps(told.document())))
    assert gpu["pages"].summary(again).splitlines() == [
        "| on NVIDIA X, 2026-12-01 | steps a second | frames a second of the whole job | peak GPU memory |",
        "|---|---|---|---|",
        "| fast |  | 31 1/s | 3.96 1/s |",
        "| half |  | withheld |  |",
    ]


def test_a_page_says_of_a_step_that_a_session_was_killed_in_it(gpu):
    page = gpu["pages"].page(report_of(gpu, figure(gpu)))
    assert "Under way." in page
    assert "| fast | frames a second of the whole job | 31 1/s |" in page


def test_the_pages_for_users_hold_the_table_of_the_newest_session_on_a_card_or_say_that_there_is_none(gpu):
    pages = [(ROOT / name).read_text() for name in ("README.md", "docs/gpu.md")]
    found = sorted(RESULTS.glob("*-cuda-*.json"))
    wanted = "No algorithm has run on a GPU yet"
    if found:
        wanted = gpu["pages"].summary(gpu["records"].read_report(json.loads(found[-1].read_text())))
    assert [wanted in page for page in pages] == [True, True]


def test_the_card_is_watched_while_a_job_runs(gpu, tmp_path, monkeypatch):
    """A stand-in for nvidia-smi prints what the real one would: a percentage."""
    program, found = tmp_path / "nvidia-smi", tmp_path / "busy.txt"
    program.write_text("#!/bin/sh\necho 40\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with bench_of(gpu, tmp_path).watching(found):
        while not found.exists() or len(found.read_text().split()) < 2:
            time.sleep(0.05)
    assert set(found.read_text().split()) == {"40"}
