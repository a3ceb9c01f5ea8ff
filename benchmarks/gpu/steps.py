"""What a session measures, in order of value; the sizes of a card and, for a test of the program, tiny ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from gpu.bench import CONTAINERS, Bench
from gpu.cases import against_cpu, few_steps, out_of_memory, same_seed_twice, timed
from gpu.jobs import Case
from gpu.records import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpu.records import Figure

_DEEPCAD = ("tifffile", "yaml", "deepcad")
_CAREAMICS = ("tifffile", "yaml", "careamics", "pydantic")
_OURS = ("tifffile", "yaml")
_TINY = (40, 64, 64)
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
            name="determinism", asks="Does the same seed give the same bits twice?", bound_s=60,
            measure=_twice(sizes), needs=_DEEPCAD,
        ),
        Step(
            name="against the CPU", asks="How far are predictions from those of the CPU?", bound_s=60,
            measure=_both(sizes), needs=_DEEPCAD, devices=("cuda",),
        ),
        Step(
            name="out of memory", asks="Does too little memory end with code 3 and a sentence?", bound_s=40,
            measure=partial(out_of_memory, case=Case(
                name="n2v with 256 patches of 1024 x 1024", algorithm="n2v", command="train", shape=(8, 1024, 1024),
                params={"patch_size": 1024, "batch_size": 256, "num_steps": 1},
            )), needs=_CAREAMICS, devices=("cuda",),
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
            measure=_network("compiled", deepcad), needs=("deepcad",), devices=("cuda",),
        ),
    )  # fmt: skip


def _timed(bench: Bench, cases: tuple[Case, ...]) -> Iterator[Figure]:
    yield from timed(bench, *cases)


def _network(part: str, folder: object) -> partial[Iterator[Figure]]:
    return partial(_in_folder, part=part, folder=folder)


def _in_folder(bench: Bench, part: str, folder: object) -> Iterator[Figure]:
    yield from bench.script("networks", part, folder)  # type: ignore[arg-type]


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


def _twice(sizes: _Sizes) -> partial[Iterator[Figure]]:
    params = {"mode": "fast", "fmap": 16, **few_steps("deepcad", 20)}
    train = sizes.case("deepcad fast", "deepcad", "train", sizes.small, params=params)
    predict = sizes.case("deepcad fast predict", "deepcad", "predict", sizes.small, params={"mode": "fast", "fmap": 16})
    return partial(same_seed_twice, train=train, predict=predict)


def _both(sizes: _Sizes) -> partial[Iterator[Figure]]:
    params = {"mode": "fast", "fmap": 16}
    return partial(against_cpu, predict=sizes.case("deepcad fast", "deepcad", "predict", sizes.small, params=params))
