"""From somebody's ONNX model to an encoder in normal form: prefixed names, operator set 18, raw elements."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, inliner, numpy_helper

from ssd_edge_runtime.encoder.encoder import Encoder
from ssd_edge_runtime.encoder.parts import ELEMENT_TYPES, INPUT, OUTPUT, PREFIX
from ssd_edge_runtime.encoder.trial import check_trial, run_original
from ssd_edge_runtime.errors import EdgeModelError, first_line
from ssd_edge_runtime.onnx.model_proto import OPSET

Proto = Any
DEFAULT_DOMAINS = ("", "ai.onnx")


def import_encoder(source: bytes | str | PathLike[str], name: str | None = None) -> Encoder:
    """The encoder in somebody's ONNX model, brought to operator set 18 and into normal form.

    It must have one float32 input whose dimensions, apart from the batch, are fixed, one float32 output, and
    only ONNX's own operators, without control flow. It is run once here: its answers must be finite, those of
    the original, and the same for a sample alone as for a sample among others. Needs onnxruntime.

    Raises :class:`EdgeModelError`, in one line, for anything else; OSError if the file cannot be read.
    """
    told = name or ("encoder" if isinstance(source, bytes) else Path(source).stem)
    try:
        original = read_model(source)
        model = at_opset(original)
        shape, batch = check_interface(model), network_inputs(original)[0].type.tensor_type.shape.dim[0].dim_value
        samples, outputs = run_original(original, batch, shape)
        expected = outputs.reshape(len(samples), -1)
        encoder = replace(normalize(model, told, outputs.ndim == 2), width=expected.shape[1])
        check_trial(encoder, samples, expected)
    except OSError:
        raise
    except Exception as error:  # protobuf hands on what a broken file holds, names that are no text included
        where = told if isinstance(source, bytes) else str(source)
        what = "" if isinstance(error, EdgeModelError) else "not a sound ONNX model: "
        raise EdgeModelError(f"{where}: {what}{first_line(error)}") from error
    return encoder


def read_model(source: bytes | str | PathLike[str]) -> Proto:
    """The ``ModelProto``, weights beside the file and functions unfolded; what is no plain graph is refused."""
    try:
        model = onnx.load_model_from_string(source) if isinstance(source, bytes) else onnx.load(str(source))
        if model.functions:
            model = inliner.inline_local_functions(model)
    except OSError:
        raise
    except Exception as error:  # protobuf's DecodeError and onnx's own have no common base
        raise EdgeModelError(f"not an ONNX model: {first_line(error)}") from None
    graph = model.graph
    EdgeModelError.unless(bool(graph.node), "not an ONNX model with a graph")
    EdgeModelError.unless(not graph.sparse_initializer, "it has sparse initializers: store them dense")
    external = any(tensor.data_location == TensorProto.EXTERNAL for tensor in graph.initializer)
    EdgeModelError.unless(not external, "some of its weights are in another file: give the path, not the bytes")
    for node in graph.node:
        known = node.domain in DEFAULT_DOMAINS
        EdgeModelError.unless(
            known, f"operator {node.op_type} of domain {node.domain!r}: only ONNX's own operators will do"
        )
    return model


def opset_of(model: Proto) -> int:
    """Version of ONNX's own operator set."""
    versions = [each.version for each in model.opset_import if each.domain in DEFAULT_DOMAINS]
    EdgeModelError.unless(len(versions) == 1, "it does not say which version of ONNX's operators it uses")
    return int(versions[0])


def at_opset(model: Proto) -> Proto:
    """The model in operator set 18."""
    version = opset_of(model)
    if version == OPSET:
        return model
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    del plain.opset_import[:]
    plain.opset_import.add(domain="", version=version)
    try:
        plain = spelled_out(plain)
        return onnx.version_converter.convert_version(plain, OPSET)
    except Exception as error:  # C++ exceptions of several types
        later = later_operators(plain)
        if later or version < OPSET or version > onnx.defs.onnx_opset_version():
            reason = f"it uses {later[0]}" if later else first_line(error)
            raise EdgeModelError(
                f"operator set {version} cannot be converted to {OPSET}, export it with {OPSET}: {reason}"
            ) from None
    # Most operators of later sets only take more types; the trial holds the answers to the original's.
    plain.opset_import[0].version = OPSET
    return plain


def spelled_out(model: Proto) -> Proto:
    """The model with operators that set 18 does not have replaced by ONNX's own definition, where there is one."""
    later = [("", operator) for operator in later_operators(model)]
    return inliner.inline_selected_functions(model, later, inline_schema_functions=True) if later else model


def later_operators(model: Proto) -> list[str]:
    """Operators of the model that are not of set 18."""
    return [node.op_type for node in model.graph.node if not known_at_opset(node)]


def known_at_opset(node: Proto) -> bool:
    """Whether operator set 18 has the operator with all of its attributes."""
    try:
        schema = onnx.defs.get_schema(node.op_type, OPSET, "")
    except onnx.defs.SchemaError:
        return False
    return all(attribute.name in schema.attributes for attribute in node.attribute)


def check_interface(model: Proto) -> tuple[int, ...]:
    """Shape of one sample of a model with one float32 input and one float32 output."""
    inputs, outputs = network_inputs(model), model.graph.output
    EdgeModelError.unless(len(inputs) == 1, f"it has {len(inputs)} inputs ({_names(inputs)}): an encoder has one")
    EdgeModelError.unless(len(outputs) == 1, f"it has {len(outputs)} outputs ({_names(outputs)}): keep one")
    require_float(outputs[0])
    made = any(outputs[0].name in node.output for node in model.graph.node)
    EdgeModelError.unless(made, f"no node makes its output {outputs[0].name}")
    return sample_shape(inputs[0])


def normalize(model: Proto, name: str, flat: bool) -> Encoder:
    """The encoder of a model in operator set 18; its width is not known yet, and says 1.

    ``flat``: its output is one vector per sample already. An encoder's own model gives the same encoder again.
    """
    graph, output = model.graph, model.graph.output[0].name
    initial = {tensor.name: tensor for tensor in graph.initializer}
    nodes = needed_nodes(graph.node, output)
    rename = new_names(nodes, {network_inputs(model)[0].name: INPUT, **({output: OUTPUT} if flat else {})})
    used = {value for node in nodes for value in node.input}
    tensors = [plain_tensor(initial[each], rename[each]) for each in initial if each in used]
    parts = [plain_node(node, rename) for node in nodes]
    if not flat:
        parts.append(onnx.helper.make_node("Flatten", [rename[output]], [OUTPUT], axis=1))
    messages = tuple(part.SerializeToString(deterministic=True) for part in parts)
    arrays = tuple(tensor.SerializeToString(deterministic=True) for tensor in tensors)
    return Encoder(name, check_interface(model), 1, messages, arrays)


def network_inputs(model: Proto) -> list[Proto]:
    """The inputs that are not initializers, which old models list too."""
    initial = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initial]


def _names(values: Any) -> str:
    return ", ".join(value.name for value in values) or "none"


def sample_shape(value: Proto) -> tuple[int, ...]:
    """Shape of one sample; the batch dimension comes first and may be anything."""
    require_float(value)
    dims = list(value.type.tensor_type.shape.dim)
    told = ", ".join(str(dim.dim_value) if dim.dim_value else dim.dim_param or "?" for dim in dims)
    EdgeModelError.unless(len(dims) >= 2, f"its input {value.name} is [{told}]: it must be [batch, ...]")
    fixed = all(dim.dim_value >= 1 for dim in dims[1:])
    EdgeModelError.unless(
        fixed, f"its input {value.name} is [{told}]: all but the batch dimension must be fixed numbers"
    )
    return tuple(int(dim.dim_value) for dim in dims[1:])


def require_float(value: Proto) -> None:
    """Refuse an input or output that is not a float32 tensor."""
    kind = value.type.tensor_type.elem_type if value.type.HasField("tensor_type") else 0
    found = TensorProto.DataType.Name(kind).lower()
    EdgeModelError.unless(
        kind == TensorProto.FLOAT, f"{value.name} is {found}: input and output of an encoder are float32"
    )


def needed_nodes(nodes: Any, output: str) -> list[Proto]:
    """The nodes that the output comes from, in order."""
    wanted, needed = {output}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted.update(node.input)
            needed.append(node)
    return needed[::-1]


def new_names(nodes: list[Proto], names: dict[str, str]) -> dict[str, str]:
    """The name in the file of every value, beside those given: its own with the prefix, told apart where taken."""
    names, taken = {"": "", **names}, {OUTPUT}
    for node in nodes:
        for value in (*node.input, *node.output):
            if value not in names:
                new = PREFIX + value.removeprefix(PREFIX)[:200]
                while new in taken:
                    new += "_"
                taken.add(new)
                names[value] = new
    return names


def plain_tensor(tensor: Proto, name: str) -> Proto:
    """A ``TensorProto`` with nothing but dims, type, name and raw little-endian elements."""
    kind = TensorProto.DataType.Name(tensor.data_type).lower()
    EdgeModelError.unless(
        tensor.data_type in ELEMENT_TYPES, f"{tensor.name!r} has elements of type {kind}, which is not supported"
    )
    array = numpy_helper.to_array(tensor)
    plain = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape))
    out = TensorProto(dims=plain.dims, data_type=plain.data_type, raw_data=plain.raw_data)
    if name:
        out.name = name
    return out


def plain_node(node: Proto, rename: dict[str, str]) -> Proto:
    """A ``NodeProto`` with nothing but inputs, outputs, operator and attributes."""
    plain = onnx.NodeProto(
        input=[rename[each] for each in node.input],
        output=[rename.get(each, "") for each in node.output],
        op_type=node.op_type,
    )
    for own in sorted(node.attribute, key=lambda each: str(each.name)):
        attribute = plain.attribute.add()
        attribute.CopyFrom(own)
        attribute.ClearField("doc_string")
        if own.type == onnx.AttributeProto.TENSOR:
            attribute.t.CopyFrom(plain_tensor(own.t, ""))
    return plain
