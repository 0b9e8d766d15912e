"""Class names read from a file without numpy."""

import subprocess
import sys
from pathlib import Path

import pytest

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import class_names, load

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.onnx"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_names_are_those_of_the_model(path: Path) -> None:
    assert list(class_names(path)) == list(load(path).classes)


def test_numpy_is_not_imported() -> None:
    script = (
        "import sys\nfrom ssd_edge_runtime.model_file import class_names\n"
        f"print(class_names({str(GOLDEN[0])!r}), 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{class_names(GOLDEN[0])} False\n"


def test_other_files_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.onnx"
    text.write_text("not a model")
    with pytest.raises(EdgeModelError, match="not an ONNX model"):
        class_names(text)
    other = tmp_path / "other.onnx"
    other.write_bytes(GOLDEN[0].read_bytes().replace(b"ssd_edge.manifest", b"ssd_edge_manifest"))
    with pytest.raises(EdgeModelError, match=r"the file has no ssd_edge\.manifest"):
        class_names(other)
    renamed = tmp_path / "renamed.onnx"
    renamed.write_bytes(GOLDEN[0].read_bytes().replace(b'"classes"', b'"Classes"'))
    with pytest.raises(EdgeModelError, match="classes must be a list of names"):
        class_names(renamed)
    with pytest.raises(FileNotFoundError):
        class_names(tmp_path / "none.onnx")
