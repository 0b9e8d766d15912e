"""Products by scipy's private kernels, and by its public ones where a scipy no longer has a kernel."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
from small_models import gradient_state, samples

from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.sparse import products
from ssd_edge_runtime.sparse.csr import CSRMatrix

KERNELS = ("csr_matvec", "csr_matvecs", "csc_matvecs")
GONE = {
    "kernels": "scipy.sparse._sparsetools = types.SimpleNamespace()",
    "module": "del scipy.sparse._sparsetools; sys.modules['scipy.sparse._sparsetools'] = None",
}
LEARN = """
import sys, types
import numpy as np
import scipy.sparse
{gone}
sys.path.insert(0, {helpers!r})
from small_models import gradient_state, samples
from ssd_edge_runtime import EdgeModel
model = EdgeModel(gradient_state(density=0.3, widths=(40, 25)), engine="csr")
for seed in range(3):
    model.partial_fit(*samples(seed, 30)).begin_task()
model.learn_one(*(part[0] for part in samples(3, 1)))
from ssd_edge_runtime.sparse import products
assert products._csr_matvec is products._public_matvec
np.save({answers!r}, model.logits(samples(4, 33)[0]))
"""


def without(monkeypatch: pytest.MonkeyPatch, kernels: tuple[str, ...]) -> ModuleType:
    """The module as it is where scipy has all kernels but ``kernels``."""
    kept = {name: getattr(scipy.sparse._sparsetools, name) for name in KERNELS if name not in kernels}
    monkeypatch.setattr(scipy.sparse, "_sparsetools", SimpleNamespace(**kept))
    spec = importlib.util.find_spec(products.__name__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("gone", [(), KERNELS, *((name,) for name in KERNELS)], ids="-".join)
def test_products_are_those_of_the_dense_matrix(monkeypatch: pytest.MonkeyPatch, gone: tuple[str, ...]) -> None:
    module = without(monkeypatch, gone)
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((9, 14)) < 0.3, rng.standard_normal((9, 14)), 0.0).astype(np.float32)
    a = CSRMatrix.from_dense(dense)
    arrays = a.shape, a.indptr, a.columns, a.values
    x, y = (rng.standard_normal((size, 5)).astype(np.float32) for size in (14, 9))
    one, block = np.full(9, np.nan, np.float32), np.full((9, 5), np.nan, np.float32)
    for found, wanted in (
        (module.matvec(*arrays, x[:, 0].copy()), dense @ x[:, 0]),
        (module.matmat(*arrays, x), dense @ x),
        (module.transposed_matmat(*arrays, y), dense.T @ y),
        (module.matvec(*arrays, x[:, 0].copy(), one), dense @ x[:, 0]),
        (module.matmat(*arrays, x, block), dense @ x),
    ):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one, dense @ x[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(block, dense @ x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gone", GONE)
def test_a_model_learns_the_same_without_the_kernels(tmp_path: Path, gone: str) -> None:
    answers = tmp_path / "answers.npy"
    helpers = Path(__file__).parents[2] / "helpers"
    code = LEARN.format(gone=GONE[gone], helpers=str(helpers), answers=str(answers))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    model = EdgeModel(gradient_state(density=0.3, widths=(40, 25)), engine="csr")
    for seed in range(3):
        model.partial_fit(*samples(seed, 30)).begin_task()
    model.learn_one(*(part[0] for part in samples(3, 1)))
    np.testing.assert_allclose(np.load(answers), model.logits(samples(4, 33)[0]), rtol=1e-5, atol=1e-6)


def test_only_one_file_knows_the_private_kernels() -> None:
    root = Path(__file__).parents[3]
    rooms = ("ssd_edge", "export/ssd_edge_export", "runtime/ssd_edge_runtime", "device_bench/ssd_edge_bench")
    knowing = [path for room in rooms for path in (root / room).rglob("*.py") if "sparsetools" in path.read_text()]
    assert [path.name for path in knowing] == ["products.py"]
