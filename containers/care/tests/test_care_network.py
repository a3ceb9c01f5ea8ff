"""The network is upstream's, its halo covers what it sees, and the environment holds what a job imports."""

import ast
import importlib
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
from care_jobs import CARE, declaration, make_job

from contract.errors import DeviceMissing, JobRefused
from csbdeep_unet import UNetShape, build_unet
from run import check, shape_of
from tensorflow_start import start


def test_default_params_make_the_network_of_upstreams_default_config():
    """Upstream's Config: depth 2, kernels 5 (2D) or 3 (3D), 32 filters, residual; common_unet builds it."""
    params = {name: param["default"] for name, param in declaration(CARE)["params"].items()}
    for patch_size_z, n_dim, kern_size in ((None, 2, 5), (16, 3, 3)):
        ours = build_unet(shape_of(params | {"patch_size_z": patch_size_z}))
        nets = importlib.import_module("csbdeep.internals.nets")  # found once build_unet has made its package bare
        theirs = nets.common_unet(n_dim, 2, kern_size, 32, 1, residual=True)((None,) * n_dim + (1,))
        theirs.set_weights(ours.get_weights())
        image = np.random.default_rng(0).normal(size=(1, *(16,) * n_dim, 1)).astype(np.float32)
        np.testing.assert_array_equal(ours(image), theirs(image))


@pytest.mark.parametrize(("n_dim", "n_depth", "kern_size"), [(2, 2, 5), (2, 2, 3), (2, 1, 3), (2, 3, 3), (3, 2, 3)])
def test_nothing_beyond_the_halo_changes_a_pixel_and_the_halo_is_not_much_wider(n_dim, n_depth, kern_size):
    shape = UNetShape(n_dim=n_dim, n_depth=n_depth, kern_size=kern_size, n_first=2, residual=True)
    network, half = build_unet(shape), shape.halo + shape.multiple
    network.set_weights([np.abs(weight) + 0.1 for weight in network.get_weights()])  # no ReLU hides a change
    reached = 0
    for shift in range(shape.multiple):  # the place within a pooling window matters
        blank = np.zeros((1, *(2 * half,) * n_dim, 1), np.float32)
        point = blank.copy()
        point[(0, *(half + shift,) * n_dim, 0)] = 1e3
        changed = np.argwhere(np.abs(network(point) - network(blank))[0, ..., 0] > 0)
        reached = max(reached, int(np.abs(changed - half - shift).max()))
    assert shape.halo - 2 * shape.multiple <= reached <= shape.halo


def test_no_torch_and_nothing_that_a_job_never_imports_is_in_the_environment():
    for name in ("torch", "matplotlib", "scipy", "clang", "grpc", "tensorboard"):
        assert importlib.util.find_spec(name) is None


@pytest.mark.parametrize("folder", [CARE, CARE.parent / "n2v-tf"], ids=lambda folder: folder.name)
def test_no_file_of_an_image_on_tensorflow_imports_torch_and_no_lock_names_it(folder):
    """The contract package asks for torch only where an image has it, in functions that these files never call."""
    files = [*folder.glob("*.py"), *((folder / share).resolve() for share in declaration(folder)["shares"])]
    imported = {
        name.partition(".")[0]
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert "numpy" in imported
    assert "torch" not in imported
    for lock in folder.glob("requirements-*.lock"):
        assert not [line for line in lock.read_text().splitlines() if line.startswith("torch")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"patch_size": 50}, "patch_size: expected a multiple of 4"),
        ({"patch_size_z": 10}, "patch_size_z: expected a multiple of 4"),
    ],
)
def test_params_that_do_not_fit_are_refused(tmp_path, changes, expected):
    with pytest.raises(JobRefused, match=expected):
        check(make_job(tmp_path / "train", "train", "quick", inputs={}, **changes))


def test_a_missing_gpu_and_bfloat16_are_refused_in_a_sentence(tmp_path):
    for field, value, error in (("device", "cuda", DeviceMissing), ("precision", "bfloat16", JobRefused)):
        job = replace(make_job(tmp_path / field, "train", "quick", inputs={}), **{field: value})
        with pytest.raises(error, match=f"{field}.* {value}"):
            start(job)
