"""A run as an RO-Crate: read back by the reference library, complete, and without paths of the machine."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from run_records import JOB, write_run

from orchestrator.algorithms.folders import in_environment, load_algorithms
from orchestrator.data.datasets import Dataset
from orchestrator.data.manifest import load_manifest
from orchestrator.paths import layout
from orchestrator.reproduce.cite import Citation, citations
from orchestrator.reproduce.published import load_experiments
from orchestrator.runs.crate import write_crate

ROOT = Path(__file__).parents[3]
MOVIE = "20ms_20%_004.tif"  # a name of the study; "%" must be escaped in an identifier
_COMPLETED = "http://schema.org/CompletedActionStatus"
PIXELS = b"a prediction"
INPUT = hashlib.sha256(b"a movie").hexdigest()


@pytest.fixture(scope="module")
def algorithms():
    return load_algorithms(ROOT / "containers")


@pytest.fixture
def run(tmp_path):
    """Return the folder of a run of the control `mean` on one movie and its copy."""
    folder = tmp_path / "mean-huvec_img-default" / "0123456789abcdef"
    (folder / "predictions" / "train").mkdir(parents=True)
    (folder / "predictions" / "train" / MOVIE).write_bytes(PIXELS)
    file = {"path": f"train/{MOVIE}", "sha256": hashlib.sha256(PIXELS).hexdigest(), "bytes": len(PIXELS)}
    return write_run(
        folder,
        axes="YX",
        dataset="huvec_img",
        experiment="mean-huvec_img-default",
        inputs={f"train/{MOVIE}": INPUT, "train/20ms_20__004.tif": INPUT},
        jobs={"train": JOB, "predict-train": {**JOB, "files": [file, {**file, "path": "train/deleted.tif"}]}},
        params={"window": 5},
        threads=2,
    )


def _entities(path):
    return {one["@id"]: one for one in json.loads(path.read_text())["@graph"]}


def test_the_reference_library_reads_the_crate_back(run, algorithms):
    crate_of = pytest.importorskip("rocrate.rocrate", reason="the rocrate library is not installed").ROCrate
    write_crate(run, algorithms["mean"])
    crate = crate_of(run.folder.path)
    assert crate.name == f"mean-huvec_img-default, run {run.record.key}"
    action = crate.dereference("#run")
    assert action.type == "CreateAction"
    assert action["instrument"]["name"] == "Running mean (control)"
    assert [one.id for one in action["result"]] == ["predictions/train/20ms_20%25_004.tif", "run.json"]
    assert [one["sha256"] for one in action["object"] if one.type == "File"] == [INPUT]
    assert {one["name"] for one in action["object"] if one.type == "PropertyValue"} >= {"seed", "window", "threads"}


def test_the_crate_says_which_profile_it_follows(run, algorithms):
    entities = _entities(write_crate(run, algorithms["mean"]))
    assert entities["./"]["conformsTo"] == {"@id": "https://w3id.org/ro/wfrun/process/0.5"}
    assert entities["ro-crate-metadata.json"]["about"] == {"@id": "./"}


def test_every_reference_leads_to_an_entity_of_the_crate(run, algorithms):
    entities = _entities(write_crate(run, algorithms["mean"]))
    outside = {"https://w3id.org/ro/crate/1.1"}  # the specification itself
    for entity in entities.values():
        for value in entity.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict):
                    assert one["@id"] in entities or one["@id"] in outside, one


def test_inputs_are_named_by_their_content_and_copies_are_one(run, algorithms):
    entities = _entities(write_crate(run, algorithms["mean"]))
    (movie,) = (one for name, one in entities.items() if name.startswith("ni:///sha-256;"))
    assert movie["sha256"] == INPUT
    assert [movie["name"], *movie["alternateName"]] == [f"train/{MOVIE}", "train/20ms_20__004.tif"]


def test_no_path_of_the_machine_gets_out(run, algorithms):
    assert str(run.folder.path.parents[1]) not in write_crate(run, algorithms["mean"]).read_text()


def test_files_that_were_deleted_since_are_left_out(run, algorithms):
    assert "deleted.tif" not in write_crate(run, algorithms["mean"]).read_text()


def test_what_lies_beside_predictions_is_listed_and_not_called_a_tiff(run, algorithms):
    made = run.folder.path / "predictions" / "extra" / "train" / "noise_model.json"
    made.parent.mkdir(parents=True)
    made.write_text("{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    file = {"path": "extra/train/noise_model.json", "sha256": digest, "bytes": 2}
    run = write_run(run.folder.path, jobs={"train": JOB, "predict-train": {**JOB, "files": [file]}})
    entity = _entities(write_crate(run, algorithms["mean"]))["predictions/extra/train/noise_model.json"]
    assert (entity["sha256"], entity["contentSize"], entity.get("encodingFormat")) == (digest, "2", None)


def test_the_same_run_gives_the_same_bytes(run, algorithms):
    first = write_crate(run, algorithms["mean"]).read_bytes()
    assert write_crate(run, algorithms["mean"]).read_bytes() == first


def test_the_times_are_those_of_the_run_in_utc(run, algorithms):
    action = _entities(write_crate(run, algorithms["mean"]))["#run"]
    # date -u -d @1764000000: Mon Nov 24 16:00:00 UTC 2025
    assert action["startTime"] == "2025-11-24T16:00:00.500+00:00"
    assert action["endTime"] == "2025-11-24T16:00:02.500+00:00"


def test_the_action_of_a_finished_run_is_completed(run, algorithms):
    # schema.org/ActionStatusType; a run that failed has no record, and so no crate
    assert _entities(write_crate(run, algorithms["mean"]))["#run"]["actionStatus"] == _COMPLETED


def test_a_published_experiment_cites_algorithm_code_study_data_and_bundle(algorithms):
    experiment = load_experiments(ROOT / "containers")["MOUSENEU_LP_DEEPCAD_1"]
    dataset = load_manifest(layout().manifest).named(experiment.dataset)
    assert isinstance(dataset, Dataset)
    lines = [one.line for one in citations(algorithms["deepcad"], experiment, dataset)]
    assert [line.partition(":")[0] for line in lines] == ["algorithm", "code", "study", "data", "bundle"]
    assert "https://doi.org/10.1038/s41587-022-01450-8" in lines[0]
    assert "commit 50970a3. https://github.com/ai4life-opencalls/oc_2_project_13" in lines[2]
    assert "https://doi.org/10.5281/zenodo.6299076" in lines[3]


def test_a_control_has_no_paper_to_cite(algorithms):
    assert [one.of for one in citations(algorithms["mean"], None, None)] == ["bundle"]


# The grammar of BibTeX: @type{key, name = {value}, ...}, values with balanced braces, no bare sign of TeX in them.
_VALUE = r"(?:[^{}]|\\[{}]|\{(?:[^{}]|\\[{}]|\{\})*\})*"
_ENTRY = re.compile(rf"@(article|inproceedings|misc)\{{([\w.:-]+),\n((?:  [a-z]+ = \{{{_VALUE}\}},\n)+)\}}")
_FIELD = re.compile(rf"  ([a-z]+) = \{{({_VALUE})\}},\n")
_REQUIRED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "misc": {"title"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(load_experiments(ROOT / "containers")))
def test_the_bibtex_of_every_experiment_can_be_parsed_and_has_the_fields_of_its_kinds(algorithms, name):
    experiments = load_experiments(ROOT / "containers")
    experiment = experiments[name]
    dataset = load_manifest(layout().manifest).named(experiment.dataset)
    algorithm = in_environment(algorithms[experiment.algorithm], experiment.environment)
    found = citations(algorithm, experiment, dataset, algorithms["hdn"])
    assert len({one.key for one in found}) == len(found)
    for one in found:
        entry = _ENTRY.fullmatch(one.bibtex)
        assert entry, one.bibtex
        fields = dict(_FIELD.findall(entry[3]))
        assert {*fields} >= _REQUIRED[entry[1]]
        assert all(text.strip("{}") for text in fields.values())
        escaped = [text for field, text in fields.items() if field not in {"doi", "url"}]
        assert not any(re.search(r"(?<!\\)[&%$#_]", text) for text in escaped), one.bibtex


def test_the_bibtex_of_a_paper_names_authors_title_venue_year_and_doi(algorithms):
    # doi.org/10.1109/CVPR.2019.00223
    entry = citations(algorithms["n2v"], None, None)[0].bibtex
    assert entry.splitlines() == [
        "@inproceedings{Krull2019-n2v,",
        "  author = {Krull, Alexander and Buchholz, Tim-Oliver and Jug, Florian},",
        "  title = {{Noise2Void - Learning Denoising from Single Noisy Images}},",
        "  year = {2019},",
        "  doi = {10.1109/CVPR.2019.00223},",
        "  booktitle = {Conference on Computer Vision and Pattern Recognition (CVPR)},",
        "}",
    ]


def test_signs_that_mean_something_to_tex_are_escaped():
    one = Citation(of="data", text="", key="a b", kind="misc", fields={"title": r"50 % of {A} & B_1 \ ~"})
    assert one.bibtex == (
        "@misc{a-b,\n  title = {{50 \\% of \\{A\\} \\& B\\_1 \\textbackslash{} \\textasciitilde{}}},\n}"
    )


def test_the_citation_file_has_the_version_and_licence_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert citation["cff-version"] == "1.2.0"
