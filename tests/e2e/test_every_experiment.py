"""Every experiment of the study, in order of its priors, on tiny movies laid out as the study's.

Those of MOUSENEU_LP and NIDDL run with their own algorithm in its own environment, on small patches for a few steps.
Where only the order of runs or an ending is tested, a running mean stands in for each algorithm: its folder has the
real parameters and the real experiments, and a run takes a second.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import mini
import pytest
import yaml
from warm import warm_venv

from evaluation.report.gather import page_of
from evaluation.report.page import write_page
from evaluation.report.runs import entries_of_attempts
from evaluation.report.text import reasons, text_of
from evaluation.study.judge import deviates, judged, passed
from evaluation.study.protocol import score_experiment
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.errors import AlgorithmFailed, DidNotConverge
from orchestrator.paths import Layout, layout
from orchestrator.reproduce.attempts import Request, with_anchors
from orchestrator.reproduce.published import load_experiments
from orchestrator.reproduce.reproduce import Reproduction
from orchestrator.runs.session import Session

ROOT = Path(__file__).parents[2]

MOUSENEU_LP = tuple(f"MOUSENEU_LP_{name}" for name in ("N2V_1", "N2V_2", "N2N_1", "DEEPCAD_1", "CELLMINCER_1"))
NIDDL = tuple(f"NIDDL_N2V_{index}" for index in range(1, 7))
FRAMES = 20  # of the movies that real algorithms run on: DeepCAD-RT wants more than twice the 8 of its patch
_FEW_STEPS = {"num_epochs": 1, "num_steps": 2, "batch_size": 2, "n_val_patches": 2}
QUICK = {  # what makes the published settings of each algorithm fit such movies and a few seconds
    "n2v": _FEW_STEPS,
    "n2n": _FEW_STEPS | {"patch_size": 16, "tile_size": 16},
    "deepcad": {"patch_t": 8, "patch_y": 16, "patch_x": 16, "train_datasets_size": 20, "n_epochs": 1, "fmap": 4},
    "cellmincer": {
        "convergence": "reported",
        "infer_active_t_range": False,
        "n_frames_per_segment": FRAMES,
        "n_frames_fit_left": 5,
        "n_frames_fit_right": 5,
        "spatial_unet_depth": 2,
        "spatial_unet_n_conv_layers": 1,
        "spatial_unet_first_conv_channels": 4,
        "temporal_denoiser_conv_channels": 4,
        "temporal_denoiser_hidden_dense_layer_dims": "4",
        "output_min_size": 16,
        "output_max_size": 16,
        "n_batch": 2,
        "n_iters": 4,
        "n_bootstrap": 20,
    },
}
STAND_IN = ("Dockerfile", "requirements.in", "requirements-cpu.lock", "requirements-cuda.lock", "run.py")


class Silence:
    """A progress that shows nothing."""

    def __call__(self, *_):
        pass

    def begin(self, _):
        pass

    def event(self, _):
        pass

    def end(self):
        pass


def _stand_in(folder, target, mean):
    document = yaml.safe_load((folder / "algorithm.yaml").read_text())
    document["params"] |= mean["params"]
    document |= {"devices": ["cpu"], "shares": [], "environments": {}}
    target.mkdir()
    for name in STAND_IN:
        shutil.copyfile(ROOT / "containers" / "mean" / name, target / name)
    (target / "algorithm.yaml").write_text(yaml.safe_dump(document))
    text = (folder / "experiments.yaml").read_text()
    (target / "experiments.yaml").write_text(text.replace("environment: study", "environment: current"))


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """Return the folders of a checkout in which a running mean stands in for every algorithm."""
    root = tmp_path_factory.mktemp("study")
    containers = root / "containers"
    containers.mkdir()
    shutil.copyfile(ROOT / "containers" / "experiments.yaml", containers / "experiments.yaml")
    shutil.copytree(ROOT / "containers" / "base", containers / "base")
    mean = yaml.safe_load((ROOT / "containers" / "mean" / "algorithm.yaml").read_text())
    for path in sorted((ROOT / "containers").glob("*/algorithm.yaml")):
        if path.parent.name in {"identity", "mean"}:
            shutil.copytree(path.parent, containers / path.parent.name)
        elif (path.parent / "experiments.yaml").exists():
            _stand_in(path.parent, containers / path.parent.name, mean)
    mini.write_mouseneu_lp(root / "data")
    mini.write_niddl(root / "data")
    mini.write_refined(root / "data")
    return Layout(
        root=root,
        home=layout().home,
        outputs=root / "outputs",
        data=root / "data",
        manifest=mini.write_manifest(root / "manifest"),
    )


@pytest.fixture(scope="module", autouse=True)
def _warm():
    """Let jobs of one algorithm, of which there are three for each experiment, import torch once."""
    with warm_venv():
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return the folders of this checkout with MOUSENEU_LP and NIDDL in miniature."""
    root = tmp_path_factory.mktemp("real")
    mini.write_mouseneu_lp(root / "data", frames=FRAMES)
    mini.write_niddl(root / "data")
    return replace(
        layout(),
        outputs=root / "outputs",
        data=root / "data",
        manifest=mini.write_manifest(root / "manifest", frames=FRAMES),
    )


def _run(where, names, seeds=1, **more):
    """Run experiments in some folders; return how they ended, and all experiments there are."""
    experiments = load_experiments(where.containers)
    session = Session(layout=where, engine_name="venv", progress=Silence(), say=lambda _: None)
    plain = {"first_seed": 42, "threads": 1, "device": "cpu", "preset": None, "overrides": {}}
    work = Reproduction(
        session=session,
        request=Request(names=names, seeds=seeds, **(plain | more)),
        progress=Silence(),
        score=lambda folder, experiment: score_experiment(folder, experiment, load_algorithms(where.containers)),
        deviates=lambda attempt: deviates(attempt, experiments),
    )
    return work.attempts(with_anchors(experiments, names)), experiments


@pytest.fixture
def reproduce(where):
    """Return a function that runs experiments with stand-ins and returns how they ended, with all experiments."""
    return lambda *names, **more: _run(where, names, **more)


def _quick(experiment):
    """Return what to change in the published settings; patches stay as different from each other as they were."""
    small = dict(QUICK[experiment.algorithm])
    if experiment.algorithm == "n2v":
        small["patch_size"] = experiment.params["patch_size"] // 4
    if "patch_size_z" in experiment.params:
        small |= {"patch_size_z": 8, "tile_overlap": 0.25}  # 0.75 computes each voxel 64 times
    return small


def _verdicts(attempts, experiments):
    return {
        attempt.experiment.name: {
            one.verdict for split in judged(attempt, experiments).values() for one in split.values()
        }
        for attempt in attempts
    }


def _page(attempts, experiments, study):
    return page_of(entries_of_attempts(attempts, load_algorithms(study.containers)), experiments)


@pytest.mark.parametrize("name", [*MOUSENEU_LP, *NIDDL])
def test_every_experiment_runs_through_to_the_verdict_table(study, name, tmp_path):
    experiment = load_experiments(study.containers)[name]
    attempts, experiments = _run(study, (name,), overrides=_quick(experiment))
    page = _page(attempts, experiments, study)
    assert f"{name} " in text_of(page)
    assert [(one.status, one.reason) for one in attempts] == [("ok", "")] * len(attempts)
    assert set().union(*_verdicts(attempts, experiments).values()) == {"not comparable"}  # changed, and 20 frames
    assert passed(attempts, experiments)
    assert any(line.startswith(f"{name}") for line in reasons(page))
    record = attempts[-1].runs[0].record
    assert (record.algorithm, record.environment) == (experiment.algorithm, experiment.environment)
    assert record.upstream.name != "calm"  # no stand-in
    write_page(page, tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_careamics_experiments_run_in_the_environment_of_the_study_and_the_table_names_it(study):
    names = ("MOUSENEU_LP_N2N_1", "NIDDL_N2V_1")
    for name in names:  # found finished, where the tests above made them
        experiment = load_experiments(study.containers)[name]
        attempts, experiments = _run(study, (name,), overrides=_quick(experiment))
        record = attempts[-1].runs[0].record
        assert record.upstream.version == "0.0.5"
        assert record.network_parameters == 509_217
        page = _page(attempts, experiments, study)
        row = next(one for one in page.rows if one.title == name)
        assert row.environment.endswith("careamics 0.0.5, environment study")


def test_a_prior_runs_first_and_its_predictions_are_inputs_of_the_next(reproduce):
    attempts, experiments = reproduce("REFINED_HDN_3")
    assert [one.experiment.name for one in attempts] == ["REFINED_N2V_3", "REFINED_HDN_3"]
    prior = attempts[0].runs[0].folder.predictions("train")
    record = attempts[1].runs[0].folder.record.read_text()
    assert all(str(path) in record for path in sorted(prior.glob("*.tif")))
    assert _verdicts(attempts, experiments)["REFINED_HDN_3"] == {"not comparable"}  # pictures only


def test_only_the_named_files_are_trained_on(reproduce):
    attempts, _ = reproduce("REFINED_CELLMINCER_2")
    record = yaml.safe_load(attempts[-1].runs[0].folder.record.read_text())
    assert sorted(record["inputs"]) == [
        "test/20ms_20%_Yoda1_009.tif",
        "train/20ms_20%_Yoda1_005.tif",
        "val/20ms_20%_Yoda1_008.tif",
    ]


def test_three_seeds_make_three_runs_and_the_noisy_movie_one(reproduce):
    attempts, _ = reproduce("MOUSENEU_LP_DEEPCAD_1", seeds=3)
    assert [len(one.runs) for one in attempts] == [1, 3]
    assert len({run.folder.path for run in attempts[1].runs}) == 3


@pytest.mark.parametrize(
    ("error", "status"),
    [(DidNotConverge("loss is NaN", "-"), "did not converge"), (AlgorithmFailed("it broke", "-"), "failed")],
)
def test_a_failure_stands_in_the_table_with_its_reason_and_the_others_go_on(
    reproduce, study, monkeypatch, error, status
):
    real = Session.run

    def run(self, plan):
        if plan.algorithm.name == "deepcad":
            raise error
        return real(self, plan)

    monkeypatch.setattr(Session, "run", run)
    attempts, experiments = reproduce("MOUSENEU_LP_DEEPCAD_1", "MOUSENEU_LP_N2V_1")
    ended = {one.experiment.name: one.status for one in attempts}
    assert ended["MOUSENEU_LP_DEEPCAD_1"] == status
    assert ended["MOUSENEU_LP_N2V_1"] == "ok"
    assert f"{status}: seed 42: {error.message}" in text_of(_page(attempts, experiments, study))
    assert _verdicts(attempts, experiments)["MOUSENEU_LP_DEEPCAD_1"] == {"deviates"}
    assert not passed(attempts, experiments)
