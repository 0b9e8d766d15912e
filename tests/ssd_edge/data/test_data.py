"""Data sets: readers, splits, refusals."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssd_edge.data import Dataset, load_arrays, load_data, save_npz, split_classes
from ssd_edge.data.idx import read_idx
from ssd_edge_runtime.errors import DataError, OptionError


@pytest.fixture
def small():
    x = np.arange(40, dtype=np.float32).reshape(20, 2)
    return Dataset(x, np.repeat([0, 1], 10).astype(np.int64), ("cat", "dog"))


def write_images(folder: Path, counts: dict[str, int], size=(5, 4), color=False):
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = np.full((size[1], size[0], 3) if color else (size[1], size[0]), 10 * i, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def write_idx(path: Path, array: np.ndarray):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    with gzip.open(path, "wb") as stream:
        stream.write(header + array.astype(np.uint8).tobytes())


class TestDataset:
    def test_select_by_name_and_index_renumbers_in_the_order_given(self, small):
        chosen = small.select(["dog", 0])
        assert chosen.classes == ("dog", "cat")
        assert chosen.y.tolist() == [1] * 10 + [0] * 10

    def test_a_name_wins_over_an_index(self):
        data = Dataset(np.zeros((2, 1), np.float32), np.array([0, 1]), ("1", "0"))
        assert data.select([1]).classes == ("1",)

    def test_unknown_class_is_named(self, small):
        with pytest.raises(DataError, match="no class 'bird'; there are cat, dog"):
            small.select(["bird"])

    def test_hold_out_is_stratified_seeded_and_disjoint(self, small):
        rest, held = small.hold_out(0.2, seed=3)
        assert held.counts().tolist() == [2, 2]
        assert sorted(np.concatenate([rest.x, held.x])[:, 0]) == sorted(small.x[:, 0])
        assert np.array_equal(held.x, small.hold_out(0.2, seed=3)[1].x)
        assert not np.array_equal(held.x, small.hold_out(0.2, seed=4)[1].x)

    def test_hold_out_keeps_one_sample_of_every_class(self):
        data = Dataset(np.zeros((3, 1), np.float32), np.array([0, 1, 1]), ("a", "b"))
        rest, held = data.hold_out(0.9)
        assert rest.counts().tolist() == [1, 1]
        assert held.counts().tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("x", "y", "classes", "message"),
        [
            (np.zeros((2, 1)), [0, 2], ("a", "b"), "label 2 is outside 0 to 1"),
            (np.zeros((2, 1)), [0], ("a", "b"), "x holds 2 samples but y has shape"),
            (np.array([[0.0], [np.nan]]), [0, 1], ("a", "b"), "sample 1 holds NaN or infinity"),
            (np.zeros((0, 1)), [], ("a", "b"), "at least one sample"),
            (np.zeros((2, 1)), [0, 1], ("a", "a"), "class names must differ"),
        ],
    )
    def test_refuses_what_does_not_fit(self, x, y, classes, message):
        with pytest.raises(DataError, match=message):
            Dataset(x.astype(np.float32), np.array(y, np.int64), classes)


class TestTasks:
    def test_split_evenly_the_first_get_more(self):
        assert split_classes("abcde", 2) == [("a", "b", "c"), ("d", "e")]

    def test_order_by_seed_is_repeatable_and_a_permutation(self):
        first, again, other = (split_classes("abcdefgh", 4, seed) for seed in (1, 1, 2))
        assert first == again != other
        assert sorted("".join(map("".join, first))) == list("abcdefgh")

    def test_explicit_order_must_be_complete(self, small):
        assert [task.classes for task in small.tasks(2, ["dog", "cat"])] == [("dog",), ("cat",)]
        with pytest.raises(DataError, match="class-order must name every class once: cat, dog"):
            small.tasks(2, ["dog"])

    def test_more_tasks_than_classes(self, small):
        with pytest.raises(DataError, match=r"between 1 and the number of classes \(2\), got 3"):
            small.tasks(3)

    def test_class_without_samples(self, small):
        with pytest.raises(DataError, match="class 'bird' has no samples"):
            Dataset(small.x, small.y, (*small.classes, "bird")).tasks(3)


class TestBuiltin:
    def test_digits_parts_are_fixed_and_in_range(self):
        train, test = load_data("digits"), load_data("digits", split="test")
        assert (len(train) + len(test), train.input_shape) == (1797, (1, 8, 8))
        assert (train.x.min(), train.x.max()) == (0.0, 1.0)
        assert np.array_equal(load_data("digits").x, train.x)
        assert len(load_data("digits", split="all")) == 1797

    def test_fashion_mnist_from_local_files_has_names(self, tmp_path):
        folder = tmp_path / "fashion-mnist"
        folder.mkdir()
        images = np.random.default_rng(0).integers(0, 256, (30, 28, 28))
        write_idx(folder / "train-images-idx3-ubyte.gz", images)
        write_idx(folder / "train-labels-idx1-ubyte.gz", np.arange(30) % 10)
        data = load_data("fashion-mnist", root=tmp_path)
        assert data.input_shape == (1, 28, 28)
        assert data.classes[1] == "Trouser"
        assert np.allclose(data.x[:, 0] * 255, images)

    def test_root_from_the_environment(self, tmp_path, monkeypatch):
        write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.zeros((2, 28, 28)))
        write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.array([3, 4]))
        (tmp_path / "mnist").mkdir()
        for path in tmp_path.glob("*.gz"):
            path.rename(tmp_path / "mnist" / path.name)
        monkeypatch.setenv("SSD_EDGE_DATA", str(tmp_path))
        assert load_data("mnist", split="test").y.tolist() == [3, 4]

    def test_tiny_imagenet_layout(self, tmp_path):
        root = tmp_path / "tiny-imagenet-200"
        for name in ("n01", "n02"):
            (root / "train" / name / "images").mkdir(parents=True)
            Image.new("L", (4, 4), 100).save(root / "train" / name / "images" / f"{name}_0.JPEG")
        (root / "val" / "images").mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(root / "val" / "images" / "val_0.JPEG")
        (root / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn02\t0\t0\t3\t3\n")
        (root / "words.txt").write_text("n01\tgoldfish, Carassius\nn02\tshark\nn03\tother\n")
        assert load_data("tiny-imagenet", root=tmp_path).classes == ("goldfish (n01)", "shark (n02)")
        assert load_data("tiny-imagenet", root=tmp_path, split="test").y.tolist() == [1]


class TestIdx:
    def test_truncated_and_foreign_files(self, tmp_path):
        path = tmp_path / "images.gz"
        write_idx(path, np.zeros((3, 2)))
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(DataError, match="not a whole gzip file"):
            read_idx(path)
        path = tmp_path / "images"
        path.write_bytes(b"\0\0\x08\x02" + struct.pack(">II", 1 << 31, 1 << 31))
        with pytest.raises(DataError, match="asks for"):
            read_idx(path)
        path.write_bytes(b"PNG...")
        with pytest.raises(DataError, match="not an idx file"):
            read_idx(path)


class TestFolder:
    def test_classes_by_folder_channels_first(self, tmp_path):
        write_images(tmp_path, {"b": 2, "a": 3})
        data = load_data(tmp_path)
        assert (data.classes, data.x.shape) == (("a", "b"), (5, 1, 4, 5))
        assert data.y.tolist() == [0, 0, 0, 1, 1]
        assert np.isclose(data.x[2].max(), 20 / 255)

    def test_color_and_train_test_parts(self, tmp_path):
        write_images(tmp_path / "train", {"a": 2, "b": 2}, color=True)
        write_images(tmp_path / "test", {"a": 1, "b": 1}, color=True)
        assert load_data(tmp_path, split="test").x.shape == (2, 3, 4, 5)
        assert len(load_data(tmp_path, split="all")) == 6

    def test_empty_class_folder(self, tmp_path):
        write_images(tmp_path, {"a": 1, "b": 0})
        with pytest.raises(DataError, match="class folder without images"):
            load_data(tmp_path)

    def test_sizes_that_differ(self, tmp_path):
        write_images(tmp_path / "x", {"a": 1})
        write_images(tmp_path / "x" / "b", {"deep": 1}, size=(7, 7))
        with pytest.raises(DataError, match=r"0\.png: 7 x 7 pixels, but .* has 5 x 4: resize"):
            load_data(tmp_path / "x")

    def test_not_an_image_and_a_bomb(self, tmp_path):
        write_images(tmp_path, {"a": 1})
        (tmp_path / "a" / "x.png").write_bytes(b"no")
        with pytest.raises(DataError, match=r"x\.png: not an image"):
            load_data(tmp_path)
        Image.new("1", (5000, 5000)).save(tmp_path / "a" / "x.png")
        with pytest.raises(DataError, match="5000 x 5000 pixels are more than"):
            load_data(tmp_path)


class TestNpz:
    def test_round_trip(self, tmp_path, small):
        save_npz(tmp_path / "part.npz", small)
        again = load_data(tmp_path / "part.npz")
        assert np.array_equal(again.x, small.x) and np.array_equal(again.y, small.y)
        assert again.classes == small.classes
        assert [path.name for path in tmp_path.iterdir()] == ["part.npz"]

    def test_integer_labels_without_classes_are_names(self, tmp_path):
        np.savez(tmp_path / "d.npz", x=np.full((3, 2), 255, np.uint8), y=np.array([10, 9, 10]))
        data = load_data(tmp_path / "d.npz")
        assert (data.classes, data.y.tolist()) == (("9", "10"), [1, 0, 1])
        assert data.x.max() == 1.0

    @pytest.mark.parametrize("kind", ["i1", "u2", "<i4", ">i8", "?"])
    def test_whole_numbers_are_a_sensors(self, tmp_path, kind):
        x = np.array([[0, 1], [1, 0], [1, 1], [0, 0]], kind) if kind == "?" else np.array([[3, 100]] * 4, kind)
        np.savez(tmp_path / "d.npz", x=x, y=[0, 1, 0, 1])
        data = load_data(tmp_path / "d.npz")
        assert data.x.dtype == np.float32 and np.array_equal(data.x, x.astype(np.float32))

    def test_text_labels(self, tmp_path):
        np.savez(tmp_path / "d.npz", x=np.zeros((2, 2)), y=np.array(["dog", "cat"]))
        assert load_data(tmp_path / "d.npz").names.tolist() == ["dog", "cat"]

    def test_split_only_when_asked(self, tmp_path, small):
        save_npz(tmp_path / "d.npz", small)
        assert len(load_data(tmp_path / "d.npz", split="test")) == 20
        assert load_data(tmp_path / "d.npz", split="test", split_files=True).counts().tolist() == [2, 2]
        assert load_data(tmp_path / "d.npz", split="train", split_files=True).counts().tolist() == [8, 8]

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"x": np.zeros((2, 2))}, "no array 'y' in it; there are 'x'"),
            ({"data": np.zeros((2, 2)), "labels": [0, 1]}, "no array 'x' in it; there are 'data', 'labels'"),
            ({"x": np.zeros((2, 2), complex), "y": np.zeros(2, int)}, "x must be numbers, got complex128"),
            ({"x": np.zeros((2, 2)), "y": np.array([0, 0.5])}, r"y\[1\]: .* 0.5 is no whole number"),
            ({"x": np.zeros((2, 2)), "y": np.array([0, 5]), "classes": np.array(["a"])}, "label 5 is outside"),
            ({"x": np.array([[1e300]]), "y": np.array([0])}, "NaN or infinity"),
            ({"x": np.zeros((2, 2)), "y": np.array([{}, {}], object)}, r"y: an array of Python objects .*astype"),
        ],
    )
    def test_bad_files_are_named(self, tmp_path, arrays, message):
        path = tmp_path / "d.npz"
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=message) as caught:
            load_data(path)
        assert str(caught.value).startswith(str(path))

    def test_truncated(self, tmp_path, small):
        path = tmp_path / "d.npz"
        save_npz(path, small)
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(DataError, match="not a NumPy file"):
            load_data(path)


class TestCsv:
    def write(self, tmp_path, text):
        path = tmp_path / "d.csv"
        path.write_text(text)
        return path

    def test_named_label_column(self, tmp_path):
        data = load_data(self.write(tmp_path, "a,Label,b\n1,dog,2\n3,cat,4\n"))
        assert data.classes == ("cat", "dog")
        assert data.x.tolist() == [[1, 2], [3, 4]]

    def test_last_column_without_header(self, tmp_path):
        data = load_data(self.write(tmp_path, "0.5,1,10\n0.25,2,9.0\n"))
        assert (data.classes, data.y.tolist()) == (("9", "10"), [1, 0])

    def test_text_labels_without_header(self, tmp_path):
        assert load_data(self.write(tmp_path, "1,2,cat\n3,4,dog\n")).names.tolist() == ["cat", "dog"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("1,2,a\n1,b\n", "line 2 has 2 columns, expected 3"),
            ("1,2,a\n1,x,b\n", "line 2, column 2: 'x' is no number"),
            ("1,nan,a\n", "NaN"),
            ("", "no samples"),
            ("label,x\n", "no samples"),
        ],
    )
    def test_bad_files_are_named(self, tmp_path, text, message):
        with pytest.raises(DataError, match=message):
            load_data(self.write(tmp_path, text))


class TestLoad:
    def test_missing_and_foreign(self, tmp_path):
        with pytest.raises(DataError, match=r"nothing\.npz: no such file or folder, and not one of digits"):
            load_data(tmp_path / "nothing.npz")
        (tmp_path / "a.txt").write_text("x")
        with pytest.raises(DataError, match=r"a\.txt: not a folder, a \.npz or a \.csv file"):
            load_data(tmp_path / "a.txt")
        with pytest.raises(OptionError, match="split must be one of train, test, all"):
            load_data("digits", split="both")

    def test_arrays_for_inference(self, tmp_path, small):
        save_npz(tmp_path / "d.npz", small)
        x, sources = load_arrays(tmp_path / "d.npz")
        assert np.array_equal(x, small.x) and sources[3] == f"{tmp_path / 'd.npz'}[3]"
        write_images(tmp_path / "images", {"a": 2})
        assert load_arrays(tmp_path / "images", channels=3)[0].shape == (2, 3, 4, 5)
        (tmp_path / "d.csv").write_text("y,a,b\n0,1,2\n")
        assert load_arrays(tmp_path / "d.csv")[0].tolist() == [[1, 2]]
        (tmp_path / "d.csv").write_text("0,1,2\n")
        assert load_arrays(tmp_path / "d.csv")[0].tolist() == [[0, 1, 2]]
        with pytest.raises(DataError, match="no such file"):
            load_arrays(tmp_path / "none.png")
