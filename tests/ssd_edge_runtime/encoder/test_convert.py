"""Encoders from anywhere are brought into one form, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from encoders import encoder_model, images, tiny_encoder
from onnx import TensorProto, helper, numpy_helper

from ssd_edge_runtime.encoder import Encoder, EncoderSession, import_encoder
from ssd_edge_runtime.errors import EdgeModelError


def from_model(model: Any) -> Encoder:
    return import_encoder(model.SerializeToString(), name="tiny")


def answers(model: Any, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def cut_after_relu(model: Any) -> None:
    del model.graph.node[2:]
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 4, 4, 4]))


def test_it_computes_what_the_original_computes_and_holds_nothing_else() -> None:
    model = encoder_model()
    encoder, x = from_model(model), images(0, 300)[0]
    assert (encoder.name, encoder.input_shape, encoder.width) == ("tiny", (1, 8, 8), 20)
    np.testing.assert_allclose(EncoderSession(encoder).embed(x), answers(model, x), atol=1e-6)
    alone = onnx.load_from_string(encoder.to_onnx())
    onnx.checker.check_model(alone, full_check=True)
    values = {name for node in alone.graph.node for name in (*node.input, *node.output)}
    assert {name for name in values if not name.startswith("encoder.")} == {"input"}
    assert not any(node.name or node.doc_string or node.domain for node in alone.graph.node)
    assert (alone.ir_version, alone.opset_import[0].version) == (8, 18)


def test_the_same_network_gives_the_same_bytes_however_it_was_written() -> None:
    wanted = from_model(encoder_model())
    model = encoder_model(batch=1)
    model.graph.node[0].name = "another"
    model.graph.doc_string = model.producer_name = "from elsewhere"
    model.graph.initializer[0].doc_string = "text"
    kernel = model.graph.initializer[0]
    kernel.float_data.extend(np.frombuffer(kernel.raw_data, np.float32).tolist())
    kernel.ClearField("raw_data")
    model.graph.input.append(helper.make_tensor_value_info("kernel", TensorProto.FLOAT, [4, 1, 3, 3]))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1000, np.float32), "unused"))
    model.graph.node.append(helper.make_node("Exp", ["c"], ["unread"]))
    other = from_model(model)
    assert other == wanted and hash(other) == hash(wanted) and other.digest == wanted.digest
    assert (other.nodes, other.tensors) == (wanted.nodes, wanted.tensors)
    assert from_model(encoder_model(seed=1)) != wanted


@pytest.mark.parametrize("nodes", [2, 4])
def test_its_own_model_gives_the_same_encoder(nodes: int) -> None:
    model = encoder_model()
    if nodes == 2:
        cut_after_relu(model)
    encoder = from_model(model)
    again = import_encoder(encoder.to_onnx(), "tiny")
    assert again == encoder and (again.nodes, again.tensors) == (encoder.nodes, encoder.tensors)


@pytest.mark.parametrize("opset", [9, 13, 17, 19, 21])
def test_other_operator_sets_are_converted(opset: int) -> None:
    assert from_model(encoder_model(opset=opset)).digest == from_model(encoder_model()).digest


def test_operators_that_only_take_more_types_are_taken_back() -> None:
    """onnx has no converter for ConstantOfShape of set 20, which torch writes for a class token."""
    model = encoder_model(opset=20)
    model.graph.node[1].CopyFrom(helper.make_node("Max", ["c", "zero"], ["output"]))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["one"], ["zero"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "one"))
    x = images(0, 4)[0]
    wanted = EncoderSession(tiny_encoder()).embed(x)
    np.testing.assert_allclose(EncoderSession(from_model(model)).embed(x), wanted, atol=1e-6)
    model.graph.node[2].CopyFrom(helper.make_node("ImageDecoder", ["c"], ["output"]))
    with pytest.raises(
        EdgeModelError, match=r"operator set 20 cannot be converted to 18, .*: it uses ImageDecoder"
    ):
        from_model(model)


def test_later_operators_are_spelled_out_in_earlier_ones() -> None:
    model = encoder_model(opset=20)
    model.graph.node[1].CopyFrom(helper.make_node("Gelu", ["c"], ["output"]))
    x = images(0, 4)[0]
    np.testing.assert_allclose(EncoderSession(from_model(model)).embed(x), answers(model, x), atol=1e-5)


def test_an_output_of_more_dimensions_is_flattened() -> None:
    model = encoder_model()
    cut_after_relu(model)
    encoder, x = from_model(model), images(0, 5)[0]
    assert encoder.width == 64
    np.testing.assert_allclose(EncoderSession(encoder).embed(x), answers(model, x).reshape(5, 64), atol=1e-6)


def test_local_functions_are_unfolded() -> None:
    model = encoder_model()
    body = [helper.make_node("Relu", ["a"], ["b"])]
    function = helper.make_function("mine", "Rectify", ["a"], ["b"], body, [helper.make_opsetid("", 18)])
    model.functions.append(function)
    model.opset_import.add(domain="mine", version=1)
    model.graph.node[1].op_type, model.graph.node[1].domain = "Rectify", "mine"
    x = images(0, 4)[0]
    embeddings = EncoderSession(from_model(model)).embed(x)
    np.testing.assert_allclose(embeddings, EncoderSession(tiny_encoder()).embed(x), atol=1e-6)


def test_weights_beside_the_file_are_taken_in(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    onnx.save(encoder_model(), path, save_as_external_data=True, location="tiny.data", size_threshold=0)
    encoder = import_encoder(path)
    assert (encoder.name, encoder.digest) == ("tiny", tiny_encoder().digest)
    with pytest.raises(EdgeModelError, match="some of its weights are in another file: give the path"):
        import_encoder(path.read_bytes())
    (tmp_path / "tiny.data").unlink()
    with pytest.raises(EdgeModelError, match=r"tiny\.onnx: "):
        import_encoder(path)


def add_input(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", 1]))
    model.graph.node[1].CopyFrom(helper.make_node("Mul", ["c", "mask"], ["output"]))


def with_loop(model: Any) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["t"])], "b", [], [helper.make_empty_tensor_value_info("t")]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node[1].CopyFrom(helper.make_node("If", ["yes"], ["output"], then_branch=body, else_branch=body))


def batch_inside(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 64], np.int64), "fixed"))
    model.graph.node[2].CopyFrom(helper.make_node("Reshape", ["output", "fixed"], ["f"]))


def over_the_batch(model: Any) -> None:
    model.graph.node[1].CopyFrom(helper.make_node("Softmax", ["c"], ["output"], axis=0))


def in_float16(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.node.insert(0, helper.make_node("Cast", ["half"], ["image"], to=TensorProto.FLOAT))
    model.graph.input[0].name = "half"


def to_infinity(model: Any) -> None:
    model.graph.node[1].CopyFrom(helper.make_node("Log", ["c"], ["output"]))


def unguarded_norm(model: Any) -> None:
    model.graph.node[1].CopyFrom(helper.make_node("Div", ["c", "length"], ["output"]))
    model.graph.node.insert(1, helper.make_node("ReduceL2", ["c", "axes"], ["length"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2, 3]), "axes"))


def bfloat16(model: Any) -> None:
    constant = TensorProto(dims=[1], data_type=TensorProto.BFLOAT16, name="b", raw_data=b"\0\0")
    model.graph.initializer.append(constant)
    model.graph.node[1].CopyFrom(helper.make_node("Add", ["c", "t"], ["output"]))
    model.graph.node.insert(0, helper.make_node("Cast", ["b"], ["t"], to=TensorProto.FLOAT))


def dims(model: Any) -> Any:
    return model.graph.input[0].type.tensor_type.shape.dim


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "two inputs": (add_input, r"it has 2 inputs \(image, mask\): an encoder has one"),
    "two outputs": (lambda m: m.graph.output.add(name="c"), r"it has 2 outputs \(embedding, c\): keep one"),
    "an image of any size": (
        lambda m: dims(m)[2].__setattr__("dim_param", "H"),
        r"its input image is \[n, 1, H, 8\]: all but the batch dimension must be fixed",
    ),
    "no batch": (lambda m: [dims(m).pop() for _ in range(3)], r"its input image is \[n\]: it must be \[batch"),
    "half floats": (in_float16, "half is float16: input and output of an encoder are float32"),
    "custom operator": (
        lambda m: setattr(m.graph.node[1], "domain", "com.microsoft"),
        "operator Relu of domain 'com.microsoft': only ONNX's own",
    ),
    "control flow": (with_loop, "operator 'If' in the encoder has an attribute with field 6: control flow"),
    "sparse": (lambda m: m.graph.sparse_initializer.add(), "it has sparse initializers: store them dense"),
    "bfloat16": (bfloat16, "'b' has elements of type bfloat16, which is not supported"),
    "unknown operator set": (
        lambda m: setattr(m.opset_import[0], "version", 99),
        "operator set 99 cannot be converted to 18, export it with 18",
    ),
    "no operator set": (lambda m: m.ClearField("opset_import"), "does not say which version"),
    "batch size inside": (batch_inside, "its batch size must be free"),
    "over the batch": (over_the_batch, "a sample's answer depends on the others in its batch"),
    "zeros": (unguarded_norm, "its output for a sample of zeros holds NaN or infinity"),
    "infinity": (to_infinity, "holds NaN or infinity"),
    "an operator that is none": (
        lambda m: setattr(m.graph.node[1], "op_type", "Nope"),
        "ONNX Runtime does not run it",
    ),
    "no nodes": (lambda m: m.graph.ClearField("node"), "not an ONNX model with a graph"),
    "output from nowhere": (lambda m: setattr(m.graph.output[0], "name", "x"), "no node makes its output x"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_encoder_is_refused_in_one_line(what: str) -> None:
    edit, message = REFUSED[what]
    model = encoder_model()
    edit(model)
    with pytest.raises(EdgeModelError, match=message) as refusal:
        from_model(model)
    assert str(refusal.value).startswith("tiny: ") and "\n" not in str(refusal.value)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.onnx").write_bytes(b"\x89PNG")
    with pytest.raises(EdgeModelError, match=r"photo\.onnx: not an ONNX model"):
        import_encoder(tmp_path / "photo.onnx")
    with pytest.raises(FileNotFoundError):
        import_encoder(tmp_path / "missing.onnx")


def test_names_that_are_no_text_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    data = encoder_model().SerializeToString()
    for name in (b"kernel", b"Relu", b"image"):
        with pytest.raises(EdgeModelError, match=r"^tiny: "):
            import_encoder(data.replace(name, b"\xff\xfe" + name[2:]), "tiny")
    assert capfd.readouterr().out == ""
