"""Exports a model to a folder: its functions, metadata, a README, and a comparison with Keras.

    folder/generator.onnx, folder/text_encoder.onnx, ...    one file (or folder) per function
    folder/metadata.json                                    inputs, outputs, value range, licence
    folder/README.md                                        the same for people, with an example

The exported functions are run with the runtime of their format (onnxruntime, TensorFlow, LiteRT or
PyTorch) and compared with Keras at two batch sizes before the folder appears.
"""

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasgan.backend import artifacts
from kerasgan.io import files
from kerasgan.io.export import (
    FORMATS,
    ExportFunction,
    check_format,
    export_function,
    float32_functions,
)
from kerasgan.io.paths import user_path

# Description of each input by name, for the metadata.
INPUTS = {
    "latents": "values from N(0, 1)",
    "labels": "class of each image, an integer from 0",
    "embeddings": "caption embeddings, the output of the text encoder",
    "noise": "noise maps, uniform in [0, 1)",
    "truncation": "truncation psi of each image: 1 disables truncation, 0 gives the mean image",
    "images": "images in [-1, 1]",
    "characters": "index of each character of the lower-case caption in `alphabet`, -1 for unknown "
    "characters and padding",
    "w": "style w, from the encoder",
    "conditions": "condition of the generator, from the classifier",
    "styles": "style vectors (S space), from `styles`",
    "rgb_styles": "style vectors of the RGB layers, from `styles`",
}
RUNTIMES = {
    "saved_model": "TensorFlow: `tf.saved_model.load(path).serve([{inputs}])`",
    "onnx": "onnxruntime: `onnxruntime.InferenceSession(path).run(None, {{{named}}})`",
    "litert": "LiteRT: `ai_edge_litert.interpreter.Interpreter(path).get_signature_runner()"
    "({keywords})`",
    "torch": "PyTorch: `torch.export.load(path).module()([{inputs}])`",
}
README = """# {title}

{model}, exported by kerasgan as {format}. Licence: {licence}.

Images are float32 `[N, H, W, C]` (channels last) in [-1, 1], {colors}. The first dimension of every
input and output is the batch size, which is free.

{functions}
`metadata.json` contains the same as data.
"""
SECTION = """## `{file}`

| | name | shape | type | meaning |
|---|---|---|---|---|
{rows}

Run it with {runtime}. Largest difference from Keras: {difference:.2g}.
"""


def export_model(
    model: Any,
    folder: str | os.PathLike,
    format: str = "onnx",
    *,
    functions: Sequence[str] | None = None,
    half: bool = False,
    title: str | None = None,
    licence: str = "that of the weights",
    report: Callable[[str], Any] = print,
) -> dict[str, float]:
    """Exports functions of a model with metadata, and compares them with Keras.

    Networks in mixed precision are exported in float32, because few runtimes compute in bfloat16.

    Args:
        model: Model of the zoo.
        folder: New folder. Nothing is written if an export fails.
        format: `"onnx"`, `"saved_model"`, `"litert"` or `"torch"`.
        functions: Keys of `model.export_functions()`. `None` exports all of them.
        half: If `True`, stores the weights of ONNX files in half precision.
        title: Title of the README. Defaults to the name of the folder.
        licence: Licence of the weights.
        report: Function that receives a line per exported function.

    Returns:
        Dict from function name to the largest absolute difference from Keras.

    Raises:
        ValueError: The folder exists, a function is unknown, or one cannot be exported.

    Example:
        ```python
        gan = kerasgan.models.ConditionalGAN.from_preset("mnist_gan_digits")
        export_model(gan, "exported", "onnx")  # {"generator": 2.4e-07}
        ```
    """
    format, folder = check_format(format), user_path(folder)
    if folder.exists():
        raise ValueError(f"{folder}: the folder of an export must be new; received one that exists")
    offered = float32_functions(model)
    if not offered:
        raise ValueError(f"a {type(model).__name__} has nothing to export")
    chosen = list(offered) if functions is None else list(functions)
    unknown = [name for name in chosen if name not in offered]
    if unknown:
        raise ValueError(f"functions must be among {', '.join(offered)}; received {unknown[0]!r}")
    about: dict[str, Any] = {
        "title": title or folder.name,
        "model": type(model).__name__,
        "format": format,
        "licence": licence,
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        "images": {"layout": "NHWC", "range": [-1, 1], "shape": list(_image_shape(model))},
        "functions": {},
    }
    if model.conditioning == "labels":
        about["classes"] = model.classes
    with files.new_folder(folder) as temporary:
        for name in chosen:
            path = temporary / f"{name}{FORMATS[format][0]}"
            subject = f"{type(model).__name__} {name}"
            export_function(offered[name], path, format, half=half, subject=subject)
            difference = compare(offered[name], path, format, getattr(model, "classes", 1))
            about["functions"][name] = _described(offered[name], path, difference)
            size = about["functions"][name]["bytes"] / 1e6
            report(f"{path.name}: {size:.2f} MB, largest difference from Keras {difference:.2g}")
        files.write_json(temporary / "metadata.json", about)
        files.write_atomically(temporary / "README.md", readme(about))
    return {name: entry["largest_difference"] for name, entry in about["functions"].items()}


def compare(
    function: ExportFunction, path: str | os.PathLike, format: str, classes: int = 1
) -> float:
    """Runs an exported function and returns its largest absolute difference from Keras.

    Args:
        function: The function.
        path: Its exported file or folder.
        format: Key of `kerasgan.io.export.FORMATS`.
        classes: Number of classes of the labels.

    Raises:
        ValueError: The outputs have other names or shapes, or their values are not finite.
    """
    run, largest = artifacts.load(path, format, list(function.inputs)), 0.0
    for count in (1, 3):
        inputs = example_inputs(function, count, classes)
        tensors = {name: ops.convert_to_tensor(x) for name, x in inputs.items()}
        expected = {
            name: np.array(ops.convert_to_numpy(x)) for name, x in function.call(tensors).items()
        }
        found = run(inputs)
        for name, values in expected.items():
            if name not in found or found[name].shape != values.shape:
                shapes = {key: list(x.shape) for key, x in found.items()}
                raise ValueError(
                    f"{path}: output {name} must be {list(values.shape)}; received {shapes}"
                )
            difference = np.abs(found[name].astype("float64") - values).max()
            if not np.isfinite(difference):
                raise ValueError(f"{path}: output {name} must be finite; received other values")
            largest = max(largest, float(difference))
    return largest


def example_inputs(
    function: ExportFunction, count: int, classes: int = 1, seed: int = 0
) -> dict[str, np.ndarray]:
    """Returns random inputs of a function for a batch of `count`.

    Args:
        function: The function.
        count: Batch size.
        classes: Number of classes of the labels.
        seed: Integer seed.
    """
    random = np.random.default_rng([seed, count])
    alphabet = function.facts.get("alphabet", {})
    draws: dict[str, Callable] = {
        "labels": lambda shape: random.integers(classes, size=shape),
        "characters": lambda shape: random.integers(-1, max(len(alphabet), 1), size=shape),
        "noise": random.random,
        "truncation": lambda shape: random.uniform(0.5, 1.0, shape),
        "images": lambda shape: random.uniform(-1.0, 1.0, shape),
        "conditions": lambda shape: random.dirichlet(np.ones(shape[1]), shape[0]),
    }
    return {
        name: np.asarray(
            draws.get(name, random.standard_normal)((count, *spec.shape[1:])), spec.dtype
        )
        for name, spec in function.inputs.items()
    }


def readme(about: dict[str, Any]) -> str:
    """Returns the text of `README.md` from the metadata."""
    sections = []
    for function in about["functions"].values():
        names = list(function["inputs"])
        rows = [
            f"| {kind} | `{name}` | `{_shape_text(entry['shape'])}` | {entry['dtype']} | "
            f"{entry['description']} |"
            for kind in ("input", "output")
            for name, entry in function[f"{kind}s"].items()
        ]
        runtime = RUNTIMES[about["format"]].format(
            inputs=", ".join(names),
            named=", ".join(f'"{name}": {name}' for name in names),
            keywords=", ".join(f"{name}={name}" for name in names),
        )
        if len(names) == 1:  # A single input is not in a list.
            runtime = runtime.replace(f"([{names[0]}])", f"({names[0]})")
        sections.append(
            SECTION.format(
                file=function["file"],
                rows="\n".join(rows),
                runtime=runtime,
                difference=function["largest_difference"],
            )
        )
    colors = "RGB" if about["images"]["shape"][-1] == 3 else "gray"
    return README.format(**about | {"functions": "\n".join(sections), "colors": colors})


def _described(function, path, difference):
    """Metadata of an exported function."""
    tensors = {name: ops.convert_to_tensor(x) for name, x in example_inputs(function, 1).items()}
    outputs = function.call(tensors)
    entry = {
        "file": path.name,
        "bytes": _size(path),
        "largest_difference": difference,
        "inputs": {
            name: {
                "shape": [None, *spec.shape[1:]],
                "dtype": spec.dtype,
                "description": INPUTS.get(name, ""),
            }
            for name, spec in function.inputs.items()
        },
        "outputs": {
            name: {
                "shape": [None, *outputs[name].shape[1:]],
                "dtype": keras.backend.standardize_dtype(outputs[name].dtype),
                "description": text,
            }
            for name, text in function.outputs.items()
        },
    }
    return entry | dict(function.facts)


def _image_shape(model):
    return model.data_spec().parts[0].shape


def _size(path: pathlib.Path) -> int:
    inside = [path] if path.is_file() else [x for x in path.glob("**/*") if x.is_file()]
    return sum(x.stat().st_size for x in inside)


def _shape_text(shape):
    return "[" + ", ".join("N" if x is None else str(x) for x in shape) + "]"
