"""Export and saving of subclassed models.

- A model declares what can be exported: `export_functions()`. The function `"generator"` computes
  what `sample` computes, from named inputs. `kerasgan.io.export_folder` writes such functions with
  metadata and compares them with Keras.
- Keras' legacy HDF5 format for whole models (.h5) is refused. It stores subclassed models without
  the state of their optimizers and under a class name that `load_model` cannot find.
"""

import contextlib
import dataclasses
import functools
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerasgan.backend import artifacts
from kerasgan.dtype_policies import in_float32, is_mixed
from kerasgan.io import files
from kerasgan.ops.conv3x3 import direct_convolutions


class ExportableModel(keras.Model):
    """A `keras.Model` that declares its inputs in `call_inputs`, so `export` works at once."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "get_config" in vars(cls):
            cls.get_config = _refusing_hdf5(vars(cls)["get_config"])

    def save(self, filepath: str | os.PathLike, *arguments: Any, **options: Any) -> None:
        """Saves the model to a `.keras` file, see `keras.Model.save`.

        Raises:
            ValueError: The file is an HDF5 file.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(_hdf5_rule(self, filepath))
        return super().save(filepath, *arguments, **options)

    def call_inputs(self) -> Any:
        """Returns the inputs of `call` as Keras tensors or `InputSpec`s.

        The result is `None` if the model has no `call`.
        """
        return None

    def export_functions(self) -> "dict[str, ExportFunction]":
        """Returns the functions that `export` offers, by name. The first one is the default.

        The result is empty if the model has no `call`.
        """
        inputs = self.call_inputs()
        if inputs is None:
            return {}
        specs = [
            keras.InputSpec(shape=(None, *x.shape[1:]), dtype=x.dtype, name=x.name or f"input_{i}")
            for i, x in enumerate(keras.tree.flatten(inputs))
        ]

        def call(inputs):
            values = list(inputs.values())
            return {"output": self(values if len(values) > 1 else values[0], training=False)}

        named = {spec.name: spec for spec in specs}
        return {"call": ExportFunction(named, call, [self], {"output": "output of `call`"})}

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "saved_model",
        *,
        function: str | None = None,
        half: bool = False,
        verbose: bool = False,
    ) -> None:
        """Exports a function of the model, by default the one that `sample` computes.

        Inputs and outputs have names, and the batch size is free. The exponential moving average of
        the generator is used if there is one. Networks in mixed precision are exported in float32,
        because few runtimes compute in bfloat16. `kerasgan.io.export_folder.export_model` also
        writes metadata and compares the result with Keras.

        Args:
            filepath: Path of the result: a folder for `"saved_model"`, otherwise a file that ends
                in `.onnx`, `.tflite` or `.pt2`.
            format: `"saved_model"` (TensorFlow, JAX), `"onnx"` (TensorFlow, PyTorch), `"litert"`
                (TensorFlow) or `"torch"` (PyTorch).
            function: Key of `export_functions()`. `None` is the first one.
            half: If `True`, stores the weights of an ONNX file in half precision. Shipped presets
                have such weights, so nothing is lost.
            verbose: If `True`, prints a message of Keras.

        Raises:
            ValueError: The backend does not support the format, or the model has no such function.
        """
        functions = float32_functions(self)
        if not functions:
            raise ValueError(
                f"export needs a model with a `call`; received {type(self).__name__}: export its "
                "networks instead"
            )
        name = next(iter(functions)) if function is None else function
        if name not in functions:
            raise ValueError(
                f"function must be one of {', '.join(functions)}; received {function!r}"
            )
        subject = type(self).__name__
        export_function(
            functions[name], filepath, format, half=half, subject=subject, verbose=verbose
        )


@dataclasses.dataclass(frozen=True)
class ExportFunction:
    """A function of a model that can be exported.

    Attributes:
        inputs: Inputs by name, with free batch size.
        call: Function from a dict of tensors to a dict of tensors.
        networks: Networks whose weights the function uses.
        outputs: Description of each output by name, for the metadata.
        facts: Further metadata, JSON values.
    """

    inputs: Mapping[str, keras.InputSpec]
    call: Callable[[dict[str, Any]], dict[str, Any]]
    networks: Sequence[keras.Model]
    outputs: Mapping[str, str]
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


# Format -> suffix of its file, name in Keras, and backends.
FORMATS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "saved_model": ("", "tf_saved_model", ("tensorflow", "jax")),
    "onnx": (".onnx", "onnx", ("tensorflow", "torch")),
    "litert": (".tflite", "litert", ("tensorflow",)),
    "torch": (".pt2", "torch", ("torch",)),
}


def check_format(format: str) -> str:
    """Returns an export format that the backend supports.

    Args:
        format: Key of `FORMATS`, or `"tf_saved_model"`, Keras' name of `"saved_model"`.

    Raises:
        ValueError: The format is unknown, or another backend is needed.
    """
    format = "saved_model" if format == "tf_saved_model" else format
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}; received {format!r}")
    backends = FORMATS[format][2]
    if keras.backend.backend() not in backends:
        raise ValueError(
            f"format {format} needs KERAS_BACKEND={' or '.join(backends)} (checkpoints load on "
            f"every backend); received {keras.backend.backend()}"
        )
    return format


def float32_functions(model: "ExportableModel") -> dict[str, ExportFunction]:
    """Returns the functions of a model, or of its copy in float32 if it is in mixed precision.

    Few runtimes compute in bfloat16.
    """
    functions = model.export_functions()
    if is_mixed(network for each in functions.values() for network in each.networks):
        return in_float32(model).export_functions()
    return functions


def export_function(
    function: ExportFunction,
    filepath: str | os.PathLike,
    format: str,
    *,
    half: bool = False,
    subject: str = "the function",
    verbose: bool = False,
) -> None:
    """Exports one function; see `ExportableModel.export`.

    Args:
        function: The function.
        filepath: Path of the result.
        format: Key of `FORMATS`.
        half: If `True`, stores the weights of an ONNX file in half precision.
        subject: Name of the model in messages.
        verbose: If `True`, prints a message of Keras.

    Raises:
        ValueError: The format cannot hold the function, or the path has the wrong suffix.
    """
    format = check_format(format)
    suffix, keras_format, _ = FORMATS[format]
    if suffix and not str(filepath).endswith(suffix):
        raise ValueError(f"a file of the format {format} must end in {suffix}; received {filepath}")
    if half and format != "onnx":
        raise ValueError(f"half needs the format onnx; received {format}")
    signature = [list(function.inputs.values())]
    if len(signature[0]) == 1:
        signature = signature[0]
    options = artifacts.export_options(keras_format, len(function.inputs))
    try:
        with warnings.catch_warnings(), direct_convolutions():
            warnings.simplefilter("ignore")  # The converters warn.
            _NamedFunction(function).export(
                str(filepath),
                format=keras_format,
                input_signature=signature,
                verbose=verbose,
                **options,
            )
            if format == "onnx":
                halve = "no" if not half else "exact" if _are_half(function) else "all"
                content = artifacts.finished_onnx(filepath, list(function.outputs), halve)
                files.write_atomically(filepath, content)
    except Exception as error:  # Each framework raises its own types, often over many lines.
        raise ValueError(
            f"{subject} cannot be exported as {format} on {keras.backend.backend()}: "
            f"{_reason(error)}"
        ) from error


def _reason(error):
    """Returns the line of an error that tells most. Keras puts it after the name of the layer."""
    text = re.sub(r"\x1b\[\d+m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return (lines or [type(error).__name__])[0][:160]


def _are_half(function):
    """Returns whether half precision represents all weights of a function, as in a preset."""
    values = [value for network in function.networks for value in network.get_weights()]
    return all(artifacts.is_half(x) for x in values if x.dtype == np.float32)


class _NamedFunction(keras.Model):
    """Keras model of an `ExportFunction`: list of inputs -> dict of outputs.

    It contains neither discriminators nor optimizers.
    """

    def __init__(self, function):
        super().__init__(name="exported")  # TensorFlow does not accept the name of the class.
        self.networks, self.function, self.built = list(function.networks), function, True

    def call(self, inputs):
        values = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        return self.function.call(dict(zip(self.function.inputs, values, strict=True)))


def _refusing_hdf5(get_config):
    """Wraps `get_config`, so that `keras.saving.save_model` refuses HDF5 files as `save` does.

    `save_model` does not call the model's `save`. Keras' HDF5 writer opens the file and then calls
    `get_config`, which recognizes it by its frame. The incomplete file is deleted.
    """

    @functools.wraps(get_config)
    def wrapped(self):
        frame = sys._getframe(1)
        while frame and frame.f_code.co_name != "save_model_to_hdf5":
            frame = frame.f_back
        if frame and frame.f_locals.get("model") is self:
            path = frame.f_locals.get("filepath")
            if frame.f_locals.get("opened_new_file"):
                with contextlib.suppress(OSError, TypeError):
                    os.unlink(path)
            raise ValueError(_hdf5_rule(self, path))
        return get_config(self)

    return wrapped


def _hdf5_rule(model, path):
    return (
        f"{path}: a {type(model).__name__} must be saved as .keras; its weights alone may be saved "
        "as .weights.h5 with save_weights"
    )
