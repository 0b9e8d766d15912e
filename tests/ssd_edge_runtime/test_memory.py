"""A large sparse file loads and answers without its dense matrix ever being built."""

import subprocess
import sys

import numpy as np
import pytest

from ssd_edge_runtime import model_file
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import Layer, ModelState, Readout

WIDTH, HIDDEN, PER_ROW, CLASSES = 3072, 10_000, 61, 100
CHILD = """
import re, sys
import numpy as np
import scipy.sparse
from ssd_edge_runtime import EdgeModel

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1)) * 1024

before = peak()
model = EdgeModel.load(sys.argv[1], engine="csr")
model.predict(np.ones((1, 3072), np.float32))
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_peak_memory_is_far_below_the_dense_matrix(tmp_path):
    rng = np.random.default_rng(0)
    columns = np.sort(rng.random((HIDDEN, WIDTH)).argpartition(PER_ROW, axis=1)[:, :PER_ROW], axis=1)
    values = rng.random(HIDDEN * PER_ROW, np.float32)
    indptr = np.arange(HIDDEN + 1, dtype=np.int32) * PER_ROW
    matrix = CSRMatrix(indptr, columns.astype(np.int32).ravel(), values, (HIDDEN, WIDTH))
    zeros = np.zeros(HIDDEN, np.int64)
    layer = Layer("hidden1", matrix, 10, zeros, zeros, np.zeros((CLASSES, HIDDEN), np.int64))
    readout = Readout("gradient", rng.random((CLASSES, HIDDEN), np.float32), None)
    names = [str(i) for i in range(CLASSES)]
    state = ModelState((WIDTH,), names, None, 1e-12, [layer], readout, class_samples=np.zeros(CLASSES, np.int64))
    path = tmp_path / "large.onnx"
    path.write_bytes(model_file.to_bytes(state, learning_state=False))
    command = [sys.executable, "-c", CHILD, str(path)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    dense = 4 * WIDTH * HIDDEN
    assert 0 < grown < dense / 3
