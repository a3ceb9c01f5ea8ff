"""What a session measures, in order of value; the sizes of a card and, for a test of the program, tiny ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gpu.bench import CONTAINERS, Bench
from gpu.cases import against_cpu, few_steps, out_of_memory, same_seed_twice, timed
from gpu.jobs import Case
from gpu.records import Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gpu.records import Figure

_DEEPCAD = ("tifffile", "yaml", "deepcad")
_CAREAMICS = ("tifffile", "yaml", "careamics", "pydantic")
_OURS = ("tifffile", "yaml")
_ALL = (*_DEEPCAD, *_CAREAMICS)
_DEEPCAD_FOLDERS = (CONTAINERS / "deepcad" / "tests", CONTAINERS / "deepcad")
_TINY = (40, 64, 64)
_TOO_LARGE = (
    Case(
        name="n2v with 256 patches of 1024 x 1024", algorithm="n2v", command="train", shape=(8, 1024, 1024),
        params={"patch_size": 1024, "batch_size": 256, "num_steps": 1},
    ),
    Case(
        name="deepcad within 1024 GiB", algorithm="deepcad", command="predict", shape=(64, 128, 128),
        params={"mode": "fast", "fmap": 16, "memory_gib": 1024.0},
    ),
)  # fmt: skip
_DEMO = {"fmap": 16, "patch_t": 150, "patch_y": 150, "patch_x": 150, "test_overlap_factor": 0.6, "mode": "exact"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sizes:
    """Movies and lengths; tiny ones take seconds on a CPU."""

    tiny: bool
    study: tuple[int, int, int] = (6500, 490, 490)  # the public movie of the study
    part: tuple[int, int, int] = (1000, 490, 490)
    demo: tuple[int, int, int] = (301, 490, 490)
    small: tuple[int, int, int] = (64, 128, 128)
    preset: str = "default"
    steps: int = 60

    def case(self, name: str, algorithm: str, command: str, shape: tuple[int, int, int], **fields: object) -> Case:
        """Return a job, in tiny sizes where this is a test: another movie, the preset smoke and few steps."""
        case = Case(name=name, algorithm=algorithm, command=command, shape=shape, **fields)  # type: ignore[arg-type]
        if not self.tiny:
            return replace(case, preset=self.preset)
        kept = {"patch_size_z": 8} if "patch_size_z" in case.params else {}
        kept |= {"mode": case.params["mode"]} if "mode" in case.params else {}
        few = few_steps(algorithm, 3) if command == "train" else {}
        return replace(case, shape=_TINY, params=kept | few)

    def some(self, *cases: Case) -> partial[Iterator[Figure]]:
        """Return the measurement of jobs, for a test that of the first two."""
        return partial(_timed, cases=cases[:2] if self.tiny else cases)


def steps_of(*, tiny: bool) -> tuple[Step, ...]:
    """Return all steps, the most valuable first."""
    sizes = _Sizes(tiny=tiny)
    deepcad = CONTAINERS / "deepcad"
    return (
        Step(
            name="machine", asks="Which card, driver, torch and cuDNN?", bound_s=40,
            measure=partial(Bench.script, name="kernels", part="machine"),
        ),
        Step(
            name="agreement", asks="Are bfloat16 and TF32 convolutions and their gradients right on this card?",
            bound_s=40, measure=partial(Bench.script, name="kernels", part="agreement"),
        ),
        Step(
            name="deepcad prediction", asks="How many frames a second does DeepCAD-RT predict?", bound_s=150,
            measure=sizes.some(*_deepcad_predictions(sizes)), needs=_DEEPCAD,
        ),
        Step(
            name="deepcad training", asks="How many steps a second does DeepCAD-RT train?", bound_s=80,
            measure=sizes.some(*_deepcad_trainings(sizes)), needs=_DEEPCAD,
        ),
        Step(
            name="deepcad upstream", asks="How fast is DeepCAD-RT's own program on the same movie?", bound_s=90,
            measure=partial(_in_folders, name="theirs", part="both", folders=_DEEPCAD_FOLDERS), needs=_DEEPCAD,
        ),
        Step(
            name="deepcad network", asks="Which arithmetic and layout suit its network, and what memory does it take?",
            bound_s=50, measure=_network("tile", deepcad), needs=("deepcad",),
        ),
        Step(
            name="roofline", asks="What do memory and single layers give at most?", bound_s=50,
            measure=partial(Bench.script, name="kernels", part="roofline"),
        ),
        *_careamics(sizes),
        Step(
            name="cellmincer", asks="How fast does CellMincer train and predict?", bound_s=60,
            measure=sizes.some(
                sizes.case("cellmincer train", "cellmincer", "train", sizes.demo, params=few_steps("cellmincer", 40)),
                sizes.case("cellmincer predict", "cellmincer", "predict", sizes.demo),
            ), needs=_OURS,
        ),
        Step(
            name="memory", asks="Does memory stay within memory_gib, however long the movie?", bound_s=60,
            measure=sizes.some(*_memory(sizes)), needs=_ALL,
        ),
        Step(
            name="determinism", asks="Does the same seed give the same bits twice?", bound_s=100,
            measure=partial(same_seed_twice, pairs=_pairs(sizes)), needs=_ALL,
        ),
        Step(
            name="against the CPU", asks="How far are predictions from those of the CPU?", bound_s=60,
            measure=partial(against_cpu, predictions=[predict for _, predict in _pairs(sizes)]), needs=_ALL,
            devices=("cuda",),
        ),
        Step(
            name="out of memory", asks="Does too little memory end with code 3 and a sentence?", bound_s=40,
            measure=partial(out_of_memory, cases=_TOO_LARGE), needs=_ALL, devices=("cuda",),
        ),
        Step(
            name="batches", asks="Do a tile's bits depend on how many tiles are computed together?", bound_s=30,
            measure=_network("batches", deepcad), needs=("deepcad",),
        ),
        Step(
            name="host", asks="Which share of the time does the card work?", bound_s=30,
            measure=_network("host", deepcad), needs=("deepcad",), devices=("cuda",),
        ),
        Step(
            name="compiled", asks="What do CUDA graphs and torch.compile gain on one shape?", bound_s=90,
            measure=_network("compiled", deepcad), needs=("deepcad",),
        ),
    )  # fmt: skip


def _timed(bench: Bench, cases: tuple[Case, ...]) -> Iterator[Figure]:
    yield from timed(bench, *cases)


def _network(part: str, folder: Path) -> partial[Iterator[Figure]]:
    return partial(_in_folders, name="networks", part=part, folders=(folder,))


def _in_folders(bench: Bench, name: str, part: str, folders: tuple[Path, ...]) -> Iterator[Figure]:
    yield from bench.script(name, part, *folders)


def _deepcad_predictions(sizes: _Sizes) -> list[Case]:
    fast = {"mode": "fast", "fmap": 16}

    def predict(name: str, shape: tuple[int, int, int], gib: float, precision: str = "float32") -> Case:
        params = fast | {"memory_gib": gib}
        return sizes.case(name, "deepcad", "predict", shape, params=params, precision=precision)

    return [
        predict("fast bfloat16, 16 GiB", sizes.study, 16.0, "bfloat16"),
        sizes.case("exact 150/0.6", "deepcad", "predict", sizes.demo, params=_DEMO),
        predict("fast float32, 16 GiB", sizes.part, 16.0),
        predict("fast bfloat16, 4 GiB", sizes.part, 4.0, "bfloat16"),
    ]


def _deepcad_trainings(sizes: _Sizes) -> list[Case]:
    def train(name: str, edge: int, mode: str, precision: str) -> Case:
        """Return a training of at least `steps` patches; 490 pixels hold 16 of 150 side by side, and 81 of 64."""
        patches = {150: sizes.steps, 64: 6 * sizes.steps}[edge]
        edges = {"patch_t": edge, "patch_y": edge, "patch_x": edge}
        params = {"mode": mode, "fmap": 16, "n_epochs": 1, "train_datasets_size": patches, **edges}
        return sizes.case(name, "deepcad", "train", sizes.part, params=params, precision=precision)

    return [
        train("exact, patches of 150", 150, "exact", "float32"),
        train("fast bfloat16, patches of 150", 150, "fast", "bfloat16"),
        train("exact, patches of 64", 64, "exact", "float32"),
        train("fast bfloat16, patches of 64", 64, "fast", "bfloat16"),
    ]


def _careamics(sizes: _Sizes) -> list[Step]:
    """Return a step for each algorithm on careamics' networks."""
    steps = []
    for algorithm, depth in (("n2v", None), ("n2v", 16), ("n2n", None), ("hdn", None)):
        name = f"{algorithm} 3D" if depth else algorithm
        params = {"patch_size_z": depth} if depth else {}
        shape = sizes.demo if algorithm == "hdn" else sizes.part
        few = few_steps(algorithm, sizes.steps)
        cases = (
            sizes.case(f"{name} train", algorithm, "train", sizes.demo, params=params | few),
            sizes.case(f"{name} predict float32", algorithm, "predict", shape, params=params),
            sizes.case(f"{name} predict bfloat16", algorithm, "predict", shape, params=params, precision="bfloat16"),
        )
        asks = f"How fast does {name} train and predict?"
        steps.append(Step(name=name, asks=asks, bound_s=60, measure=sizes.some(*cases), needs=_CAREAMICS))
    return steps


def _memory(sizes: _Sizes) -> list[Case]:
    """Return predictions of a short and of a long movie within the same memory."""
    deepcad = {"mode": "fast", "fmap": 16, "memory_gib": 4.0}
    cases = []
    for shape in (sizes.demo, sizes.part):
        name = f"{shape[0]} frames within 4 GiB"
        cases += [
            sizes.case(f"deepcad {name}", "deepcad", "predict", shape, params=deepcad, precision="bfloat16"),
            sizes.case(f"n2v {name}", "n2v", "predict", shape, params={"predict_memory_gib": 4.0}),
        ]
    return cases


def _pairs(sizes: _Sizes) -> list[tuple[Case, Case]]:
    """Return a short training and a prediction of each algorithm, the most used first."""
    shaping: dict[str, tuple[str, dict[str, Any]]] = {
        "n2v": ("n2v", {}),
        "deepcad fast": ("deepcad", {"mode": "fast", "fmap": 16}),
        "cellmincer": ("cellmincer", {}),
        "hdn": ("hdn", {}),
        "n2n": ("n2n", {}),
        "deepcad exact": ("deepcad", {"mode": "exact", "fmap": 16}),
    }
    pairs = []
    for name, (algorithm, params) in shaping.items():
        few = params | few_steps(algorithm, 20)
        pairs.append(
            (
                sizes.case(name, algorithm, "train", sizes.small, params=few),
                sizes.case(f"{name} predict", algorithm, "predict", sizes.small, params=params),
            )
        )
    return pairs[:2] if sizes.tiny else pairs
