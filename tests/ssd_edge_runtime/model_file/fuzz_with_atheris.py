"""Coverage-guided fuzzing of the reader; not collected by pytest.

    pip install atheris
    python tests/ssd_edge_runtime/model_file/fuzz_with_atheris.py -max_total_time=1800 CORPUS_FOLDER

The mutations are those of test_fuzz.py mixed with libFuzzer's own; after each, the digest is made to
match.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "helpers")]

with atheris.instrument_imports(include=["ssd_edge_runtime"]):
    import conftest
    import test_fuzz as mutations

    from ssd_edge_runtime import model_file
    from ssd_edge_runtime.errors import EdgeModelError


def read(data: bytes) -> None:
    """Refused by name or sound; anything else is a crash to libFuzzer."""
    try:
        state = model_file.from_bytes(data)
    except EdgeModelError:
        return
    mutations.use(state)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """libFuzzer's mutation of bytes, or a field rewritten."""
    rng = mutations.np.random.default_rng(seed)
    if rng.random() < 0.5:
        return bytes(mutations.seal(atheris.Mutate(data, max_size)))
    try:
        return bytes(mutations.mutate(data, rng))[:max_size]
    except Exception:  # fields can be rewritten only in what still is a protobuf message
        return bytes(mutations.seal(atheris.Mutate(data, max_size)))


def fill(corpus: Path) -> None:
    """Start from the files of the deterministic test and the golden ones."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(mutations.seeds(conftest.build_state)):
        (corpus / f"seed-{number}").write_bytes(data)
    for golden in (HERE / "golden").glob("*.onnx"):
        shutil.copy(golden, corpus)


if __name__ == "__main__":
    fill(Path(sys.argv[-1]))
    atheris.Setup([*sys.argv, "-max_len=40000", "-timeout=1"], read, custom_mutator=mutate)
    atheris.Fuzz()
