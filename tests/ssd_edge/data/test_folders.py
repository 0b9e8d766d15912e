"""Folders of images as people keep them."""

from __future__ import annotations

import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssd_edge.data import Dataset, Reading, load_arrays, load_data
from ssd_edge_runtime.errors import DataError, DataWarning, OptionError


def put(folder: Path, *values: int, color: bool = False, size: tuple[int, int] = (5, 4)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for value in values:
        pixels = np.full((*size[::-1], 3) if color else size[::-1], value, np.uint8)
        Image.fromarray(pixels).save(folder / f"{value:03}.png")


def read(folder: Path, **options: object) -> tuple[Dataset, list[str]]:
    """The data set in a folder, and what was remarked of it."""
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        data = load_data(folder, **options)
    return data, [str(remark.message) for remark in remarks if remark.category is DataWarning]


@pytest.mark.parametrize(
    ("train", "test"),
    [("TRAIN", "VAL"), ("train", "Validation"), ("Training", "test"), ("train", "testing"), ("Train", "valid")],
)
def test_parts_in_any_capitals(tmp_path: Path, train: str, test: str) -> None:
    for name in "ab":
        put(tmp_path / train / name, 1, 2, 3)
        put(tmp_path / test / name, 9)
    counts = {split: read(tmp_path, split=split)[0].counts().tolist() for split in ("train", "test", "all")}
    assert counts == {"train": [3, 3], "test": [1, 1], "all": [4, 4]}


def test_three_parts_and_one(tmp_path: Path) -> None:
    for part, values in (("train", (1, 2)), ("val", (3, 4, 5)), ("test", (6,))):
        put(tmp_path / "three" / part / "a", *values)
        put(tmp_path / "one" / "train" / "a", *values)
    counts = {split: len(read(tmp_path / "three", split=split)[0]) for split in ("train", "test", "all")}
    assert counts == {"train": 2, "test": 1, "all": 6}
    assert read(tmp_path / "one")[0].classes == ("a",)
    assert len(read(tmp_path / "one", split="test", split_files=True)[0]) == 1


def test_what_only_looks_like_parts_is_classes(tmp_path: Path) -> None:
    put(tmp_path / "vehicles" / "train", 1)
    put(tmp_path / "vehicles" / "car", 2)
    put(tmp_path / "exams" / "test", 1)
    put(tmp_path / "exams" / "train", 2)
    assert read(tmp_path / "vehicles")[0].classes == ("car", "train")
    assert read(tmp_path / "exams")[0].classes == ("test", "train")
    for part in ("train", "Training", "test"):
        put(tmp_path / "twice" / part / "a", 1)
    with pytest.raises(DataError, match=r"train: there is .*Training, too, for the same part"):
        read(tmp_path / "twice")
    put(tmp_path / "half" / "test" / "a", 1)
    put(tmp_path / "half" / "val" / "a", 1)
    with pytest.raises(DataError, match=r"half: no folder train in it, only test, validation"):
        read(tmp_path / "half")


@pytest.mark.parametrize("hidden", [".thumbnails", "__MACOSX", "@eaDir", ".ipynb_checkpoints/deep", "__pycache__"])
def test_what_is_hidden_brings_nothing(tmp_path: Path, hidden: str) -> None:
    put(tmp_path / "d" / "a", 1, 2)
    put(tmp_path / "d" / "a" / hidden, 3)
    put(tmp_path / "d" / hidden, 4)
    put(tmp_path / "d" / "a" / "deep", 5)
    (tmp_path / "d" / "a" / "Thumbs.db").write_text("")
    (tmp_path / "d" / "a" / "._001.png").write_text("")
    data, remarks = read(tmp_path / "d")
    assert (data.classes, len(data), remarks) == (("a",), 3, [])
    assert len(load_arrays(tmp_path / "d")[0]) == 3


def test_a_data_set_in_a_hidden_place_is_read(tmp_path: Path) -> None:
    put(tmp_path / ".cache" / "d" / "a", 1)
    assert len(load_data(tmp_path / ".cache" / "d")) == 1


def test_other_kinds_are_counted_in_one_note(tmp_path: Path) -> None:
    put(tmp_path / "a", 1)
    put(tmp_path / "b", 2)
    for name in ("a/x.txt", "a/y.txt", "b/LICENSE", "b/z.heic"):
        (tmp_path / name).write_text("")
    told = "left out 4 files of other kinds (.txt, without a suffix, .heic)"
    cure = "HEIC is read with a plug-in: pip install pillow-heif"
    assert read(tmp_path)[1] == [f"{tmp_path}: {told}; {cure}"]
    with pytest.warns(DataWarning, match=r"left out 1 file of other kinds \(\.txt"):
        (tmp_path / "a/y.txt").unlink()
        load_arrays(tmp_path / "a")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "photo.HEIC").write_text("")
    with pytest.raises(DataError, match=r"c: class folder without images; HEIC is read with a plug-in"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"photo\.HEIC: HEIC is read with a plug-in: pip install pillow-heif"):
        load_arrays(tmp_path / "c" / "photo.HEIC")


def test_a_class_that_one_part_lacks_is_named(tmp_path: Path) -> None:
    for name in "abc":
        put(tmp_path / "train" / name, 1, 2)
    for name in "ab":
        put(tmp_path / "test" / name, 3)
    data, remarks = read(tmp_path, split="all")
    assert (data.counts().tolist(), remarks) == ([3, 3, 2], [f"{tmp_path / 'test'}: no folder of class 'c'"])


def test_training_names_a_class_without_test_images(tmp_path: Path) -> None:
    train = pytest.importorskip("ssd_edge.training").train
    options = {"method": "random", "hidden": (20,), "k": (4,)}
    for name in "abcd":
        put(tmp_path / "d" / "train" / name, *range(8))
        if name != "d":
            put(tmp_path / "d" / "test" / name, 9)
    with pytest.warns(DataWarning, match=r"d/test: no samples of class 'd': its accuracy is not measured"):
        run = train(tmp_path / "d", tasks=2, **options)
    assert len(run.metrics["accuracy_matrix"]) == 2
    assert run.test_data().counts().tolist() == [1, 1, 1, 0]
    with pytest.raises(DataError, match=r"d/test: no samples of d"):
        train(tmp_path / "d", tasks=4, **options)
    few = tmp_path / "few.npz"
    np.savez(few, x=np.random.default_rng(0).random((7, 3)), y=np.array([0, 0, 0, 1, 1, 1, 2]))
    with pytest.raises(DataError, match=r"few\.npz, test part: no samples of 2"):
        train(few, tasks=3, **options)


@pytest.mark.parametrize("name", ["Ärmel", "naïve"])
def test_folders_that_are_spelled_alike_are_one_class(tmp_path: Path, name: str) -> None:
    put(tmp_path / unicodedata.normalize("NFD", name), 1, 2)
    put(tmp_path / unicodedata.normalize("NFC", name), 3)
    data = load_data(tmp_path)
    assert (data.classes, len(data)) == ((unicodedata.normalize("NFC", name),), 3)


@pytest.mark.parametrize("name", ["nan", "a\nb", "\x1b[31m"])
def test_a_folder_that_names_no_class(tmp_path: Path, name: str) -> None:
    put(tmp_path / name, 1)
    with pytest.raises(DataError, match=r"no class|stands for a label|line break or control"):
        load_data(tmp_path)


def test_color_is_kept_where_any_image_has_it(tmp_path: Path) -> None:
    put(tmp_path / "d" / "train" / "a", 1, 2)
    put(tmp_path / "d" / "test" / "a", 3)
    assert load_data(tmp_path / "d").input_shape == (1, 4, 5)
    put(tmp_path / "d" / "test" / "a", 4, color=True)
    for split in ("train", "test", "all"):
        assert load_data(tmp_path / "d", split=split).input_shape == (3, 4, 5)
    assert load_data(tmp_path / "d", channels=1).input_shape == (1, 4, 5)


def test_images_of_any_size_come_to_one(tmp_path: Path) -> None:
    put(tmp_path / "a", 1, 2, size=(30, 20))
    put(tmp_path / "a", 3, size=(8, 8))
    put(tmp_path / "a", 4, size=(1, 90), color=True)
    with pytest.raises(DataError, match=r"003\.png: 8 x 8 pixels, but .*001\.png has 30 x 20: .*--image-size"):
        load_data(tmp_path)
    for fit in ("crop", "pad", "stretch"):
        assert load_data(tmp_path, reading=Reading(image_size=12, image_fit=fit)).input_shape == (3, 12, 12)
    with pytest.raises(OptionError, match="image-size must be at least 1, got 0"):
        Reading(image_size=0)
    with pytest.raises(OptionError, match="image-fit must be one of crop, pad, stretch"):
        Reading(image_size=9, image_fit="squeeze")  # type: ignore[arg-type]
