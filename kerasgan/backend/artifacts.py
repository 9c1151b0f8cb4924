"""Runs exported functions with the runtimes of their formats, without Keras.

Each loader returns a function from a dict of NumPy arrays to a dict of NumPy arrays.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
SMALLEST_HALF = 64  # Number of values of a weight that is worth a cast.
Runner = Callable[[Arrays], dict[str, np.ndarray]]


def export_options(format: str, inputs: int) -> dict[str, Any]:
    """Returns the arguments of `keras.Model.export` that make the batch size free.

    Args:
        format: Name of the format in Keras.
        inputs: Number of inputs of the exported model.
    """
    if format != "torch":
        return {}
    torch = _module("torch")
    batch = {0: torch.export.Dim("batch")}
    return {"dynamic_shapes": [([batch] * inputs,)] if inputs > 1 else [(batch,)]}


def load(path: str | os.PathLike, format: str, names: list[str]) -> Runner:
    """Loads an exported function.

    Args:
        path: File or folder of the function.
        format: `"saved_model"`, `"onnx"`, `"litert"` or `"torch"`.
        names: Names of the inputs, in the order of the exported function.

    Raises:
        ValueError: The runtime is not installed.
    """
    return _LOADERS[format](str(path), names)


def finished_onnx(path: str | os.PathLike, outputs: list[str], halve: str = "no") -> bytes:
    """Returns an ONNX file with named outputs, a named batch axis and, if wanted, half the size.

    Half-precision weights are converted to float32 when the file is loaded, so the computation is
    that of float32 weights, and every runtime supports it.

    Args:
        path: File that Keras exported.
        outputs: Names of the outputs in order.
        halve: Weights that are stored in half precision: `"no"`, `"all"`, or `"exact"`: those that
            do not change. Constant folding makes others.
    """
    onnx = _module("onnx")
    model = onnx.load(str(path))
    graph = model.graph
    given = [output.name for output in graph.output]
    if set(given) != set(outputs):  # PyTorch numbers them.
        for old, new in zip(given, outputs, strict=True):
            graph.node.append(onnx.helper.make_node("Identity", [old], [new]))
        for output, new in zip(graph.output, outputs, strict=True):
            output.name = new
    for value in [*graph.input, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    _correct_one_hot(onnx, graph)
    if halve != "no":
        _halve_weights(onnx, graph, halve == "exact")
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _correct_one_hot(onnx, graph):
    """Makes one-hot rows of negative indices zero, as in Keras. ONNX counts them from the end."""
    make = onnx.helper.make_node
    constants = {"one_hot_zero": 0, "one_hot_outside": 2**31 - 1}
    for index, node in reversed([*enumerate(graph.node)]):
        if node.op_type != "OneHot":
            continue
        given, name = node.input[0], f"{node.output[0]}_indices"
        whole, negative = f"{name}_int64", f"{name}_negative"
        added = [
            make("Cast", [given], [whole], to=onnx.TensorProto.INT64),
            make("Less", [whole, "one_hot_zero"], [negative]),
            make("Where", [negative, "one_hot_outside", whole], [name]),
        ]
        node.input[0] = name
        for new in reversed(added):
            graph.node.insert(index, new)
        for key, value in constants.items():
            graph.initializer.append(onnx.numpy_helper.from_array(np.int64(value), key))
        constants = {}


def _halve_weights(onnx, graph, exact):
    """Stores float32 weights as float16, each followed by a cast to float32."""
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < SMALLEST_HALF:
            continue
        if exact and not is_half(values):
            continue
        name, stored = weight.name, f"{weight.name}_half"
        weight.CopyFrom(onnx.numpy_helper.from_array(_half(values), stored))
        cast = onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT)
        graph.node.insert(0, cast)


def is_half(values: np.ndarray) -> bool:
    """Returns whether half precision represents all values exactly."""
    return np.array_equal(_half(values), values)


def _half(values):
    return np.clip(values, -65504, 65504).astype("float16")  # Larger ones would be infinite.


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0].replace("_", "-")
        raise ValueError(
            f"{package} is not installed; pip install 'kerasgan[export]' installs the runtimes of "
            "exported files"
        ) from None


def _load_onnx(path, names):
    runtime = _module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]

    def run(inputs):
        return dict(zip(outputs, session.run(None, dict(inputs)), strict=True))

    return run


def _load_litert(path, names):
    runner = _module("ai_edge_litert.interpreter").Interpreter(path).get_signature_runner()
    return lambda inputs: {name: np.array(x) for name, x in runner(**inputs).items()}


def _load_saved_model(path, names):
    model = _module("tensorflow").saved_model.load(path)

    def run(inputs):
        values = [inputs[name] for name in names]
        outputs = model.serve(values if len(values) > 1 else values[0])
        return {name: x.numpy() for name, x in outputs.items()}

    return run


def _load_torch(path, names):
    torch = _module("torch")
    module = torch.export.load(path).module()

    def run(inputs):
        values = [torch.tensor(np.asarray(inputs[name])) for name in names]
        with torch.no_grad():
            outputs = module(values if len(values) > 1 else values[0])
        return {name: x.cpu().numpy() for name, x in outputs.items()}

    return run


_LOADERS = {
    "saved_model": _load_saved_model,
    "onnx": _load_onnx,
    "litert": _load_litert,
    "torch": _load_torch,
}
