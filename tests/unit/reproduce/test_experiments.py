"""The experiments of the study: all there, every number as printed, every parameter one that exists."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from orchestrator.algorithms.experiments import in_order, named
from orchestrator.errors import BadInput
from orchestrator.reproduce.published import load_experiments

CONTAINERS = Path(__file__).parents[3] / "containers"

# Every experiment that the study names, by folder (its README, notebooks, configurations and table of experiments).
STUDY = {
    "n2v": {f"NIDDL_N2V_{index}" for index in range(1, 7)}
    | {f"REFINED_N2V_{index}" for index in range(1, 5)}
    | {"MOUSENEU_LP_N2V_1", "MOUSENEU_LP_N2V_2"},
    "n2n": {"REFINED_N2N_1", "MOUSENEU_LP_N2N_1"},
    "hdn": {"REFINED_HDN_1", "REFINED_HDN_3", "REFINED_N2V_HDN_1"},
    "deepcad": {"REFINED_DEEPCAD_1", "MOUSENEU_LP_DEEPCAD_1"},
    "cellmincer": {"REFINED_CELLMINCER_1", "REFINED_CELLMINCER_2", "MOUSENEU_LP_CELLMINCER_1"},
    "identity": {"MOUSENEU_LP_LOWSNR", "NIDDL_LOWSNR"},  # the rows of the noisy files
}
# README of the study at commit 50970a3, table 2, as printed: ssim, microssim, psnr, si_psnr.
TABLE_2 = {
    "MOUSENEU_LP_LOWSNR": {
        "train": "0.484 ± 0.027 | 0.194 ± 0.018 | 23.698 ± 0.203 | 23.490 ± 0.538",
        "val": "0.411 ± 0.020 | 0.174 ± 0.014 | 20.431 ± 0.150 | 22.330 ± 0.477",
    },
    "MOUSENEU_LP_DEEPCAD_1": {
        "train": "0.496 ± 0.027 | 0.301 ± 0.023 | 23.752 ± 0.203 | 24.591 ± 0.576",
        "val": "0.421 ± 0.020 | 0.285 ± 0.020 | 20.464 ± 0.151 | 23.713 ± 0.525",
    },
    "MOUSENEU_LP_N2N_1": {
        "train": "0.490 ± 0.026 | 0.226 ± 0.019 | 23.458 ± 0.200 | 23.973 ± 0.552",
        "val": "0.415 ± 0.020 | 0.206 ± 0.016 | 20.414 ± 0.159 | 22.522 ± 0.480",
    },
    "MOUSENEU_LP_N2V_1": {
        "train": "0.489 ± 0.027 | 0.190 ± 0.016 | 23.678 ± 0.214 | 23.496 ± 0.538",
        "val": "0.415 ± 0.020 | 0.186 ± 0.014 | 20.594 ± 0.159 | 22.297 ± 0.476",
    },
}


@pytest.fixture(scope="module")
def experiments():
    return load_experiments(CONTAINERS)


@pytest.fixture
def folder(tmp_path):
    """Return a copy of the folder of the identity control, alone, with its experiments as its own, to change."""
    shutil.copytree(CONTAINERS / "identity", tmp_path / "identity")
    shutil.copyfile(CONTAINERS / "experiments.yaml", tmp_path / "identity" / "experiments.yaml")
    return tmp_path / "identity"


def _change(folder, change):
    path = folder / "experiments.yaml"
    document = yaml.safe_load(path.read_text())
    change(document["experiments"])
    path.write_text(yaml.safe_dump(document))


def test_every_experiment_of_the_study_is_there_and_no_other(experiments):
    found = {}
    for experiment in experiments.values():
        found.setdefault(experiment.algorithm, set()).add(experiment.name)
    assert found == STUDY


@pytest.mark.parametrize("name", TABLE_2)
def test_table_2_stands_in_the_experiments_as_printed(experiments, name):
    for split, row in TABLE_2[name].items():
        values = [experiments[name].value(split, metric) for metric in ("ssim", "microssim", "psnr", "si_psnr")]
        assert " | ".join(f"{one.mean:.3f} ± {one.sd:.3f}" for one in values) == row
        assert {(one.n, one.over, one.decimals) for one in values} == {(6500, "frames", 3)}


def test_only_experiments_with_numbers_have_published_values(experiments):
    for experiment in experiments.values():
        assert bool(experiment.published) == (experiment.outcome == "numbers"), experiment.name


def test_every_inferred_parameter_says_why_and_is_not_recorded(experiments):
    for experiment in experiments.values():
        assert all(one.reason for one in experiment.inferred.values())
        assert not {*experiment.inferred} & {*experiment.params}


def test_a_prior_comes_before_the_experiment_that_needs_it(experiments):
    order = [one.name for one in in_order(experiments, ["REFINED_HDN_3", "REFINED_N2V_3", "NIDDL_N2V_1"])]
    assert order == ["REFINED_N2V_3", "REFINED_HDN_3", "NIDDL_N2V_1"]


def test_an_experiment_answers_to_the_other_name_it_has_in_the_study(experiments):
    assert named(experiments, "MOUSENEU_LP_DEEPCADRT_1").name == "MOUSENEU_LP_DEEPCAD_1"


def test_an_unknown_experiment_is_refused_with_the_known_ones(experiments):
    with pytest.raises(BadInput, match=r"expected an experiment of .*NIDDL_N2V_6.*, got REFINED_HDN_2"):
        named(experiments, "REFINED_HDN_2")  # named nowhere in the study


def test_experiments_that_need_each_other_are_refused(folder):
    def circle(experiments):
        one, other = experiments
        experiments[one]["prior"] = {"experiment": other, "splits": ["train"]}
        experiments[other]["prior"] = {"experiment": one, "splits": ["train"]}

    _change(folder, circle)
    with pytest.raises(BadInput, match="without a circle, got MOUSENEU_LP_LOWSNR <- NIDDL_LOWSNR <- MOUSENEU_LP_LOW"):
        load_experiments(folder.parent)


def test_a_prior_that_does_not_exist_is_refused(folder):
    _change(folder, lambda all_: all_["NIDDL_LOWSNR"].update(prior={"experiment": "NONE", "splits": ["train"]}))
    with pytest.raises(BadInput, match="got NONE"):
        load_experiments(folder.parent)


def test_a_parameter_that_the_algorithm_does_not_have_is_refused_with_file_and_experiment(folder):
    _change(folder, lambda all_: all_["NIDDL_LOWSNR"].update(params={"patch_size": 64}))
    with pytest.raises(BadInput, match=r"identity/experiments.yaml: NIDDL_LOWSNR: .*got patch_size"):
        load_experiments(folder.parent)


def test_a_value_without_its_table_is_refused_with_the_place_in_the_file(folder):
    _change(folder, lambda all_: all_["NIDDL_LOWSNR"]["published"][0].pop("table"))
    with pytest.raises(
        BadInput, match=r"at experiments.NIDDL_LOWSNR.published\[0\]: expected the field table, got none"
    ):
        load_experiments(folder.parent)


def test_the_same_name_in_two_folders_is_refused(folder):
    _change(folder, lambda all_: [one.pop("algorithm") for one in all_.values()])
    shutil.copytree(folder, folder.with_name("twin"))
    (folder.with_name("twin") / "algorithm.yaml").unlink()
    with pytest.raises(BadInput, match="expected a new name, got MOUSENEU_LP_LOWSNR of identity"):
        load_experiments(folder.parent)


@pytest.mark.parametrize("text", ["", "# none yet\n", "experiments: {}\n", None])
def test_a_folder_may_have_no_experiments(folder, text):
    path = folder / "experiments.yaml"
    path.unlink() if text is None else path.write_text(text)
    assert load_experiments(folder.parent) == {}


def test_experiments_without_their_study_are_refused(folder):
    path = folder / "experiments.yaml"
    document = yaml.safe_load((CONTAINERS / "experiments.yaml").read_text())
    del document["study"]
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(BadInput, match="at the top level: expected the field study, got none"):
        load_experiments(folder.parent)


def test_experiments_above_the_folders_name_their_algorithm(folder):
    (folder / "experiments.yaml").rename(folder.parent / "experiments.yaml")
    assert {one.algorithm for one in load_experiments(folder.parent).values()} == {"identity"}
    _change(folder.parent, lambda all_: all_["NIDDL_LOWSNR"].pop("algorithm"))
    with pytest.raises(BadInput, match="NIDDL_LOWSNR: expected algorithm to be named, got none"):
        load_experiments(folder.parent)


def test_experiments_of_a_folder_are_of_its_algorithm(folder):
    _change(folder, lambda all_: all_["NIDDL_LOWSNR"].update(algorithm="mean"))
    with pytest.raises(BadInput, match="NIDDL_LOWSNR: expected algorithm identity, got mean"):
        load_experiments(folder.parent)


def test_what_is_broken_is_left_out_and_said_and_the_others_stay(folder):
    shutil.copytree(CONTAINERS / "mean", folder.with_name("mean"))
    (folder.with_name("mean") / "experiments.yaml").write_text("experiments: 3\n")
    needs = {"prior": {"experiment": "NONE", "splits": ["train"]}}
    _change(folder, lambda all_: all_["NIDDL_LOWSNR"].update(needs))
    said = []
    assert set(load_experiments(folder.parent, said.append)) == {"MOUSENEU_LP_LOWSNR"}
    assert ["mean/experiments.yaml: at experiments" in said[0].message, "got NONE" in said[1].message] == [True, True]
