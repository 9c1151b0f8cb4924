"""Export and saving of subclassed models.

- Models can be exported before their first call, which Keras itself requires.
- Keras' legacy HDF5 format for whole models (.h5) is refused. It stores subclassed models without
  the state of their optimizers and under a class name that `load_model` cannot find.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import keras


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

    def exported(self) -> keras.Model:
        """Returns the model to export: this one, or a smaller one with the same `call`."""
        return self

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        input_signature: Any = None,
        **arguments: Any,
    ) -> None:
        """Exports what `call` computes. See `keras.Model.export`.

        Args:
            filepath: Path of the result.
            format: `"tf_saved_model"`, `"onnx"` or another format of Keras.
            input_signature: Inputs of the exported function. Defaults to `call_inputs()`.
            **arguments: Further arguments of `keras.Model.export`.

        Raises:
            ValueError: The backend does not support the format, or the model has no `call`.
        """
        inputs = self.call_inputs() if input_signature is None else None
        if input_signature is None and inputs is None:
            raise ValueError(
                f"export needs a model with a `call`; received {type(self).__name__}: export its "
                "networks instead"
            )
        signature = input_signature if inputs is None else [keras.tree.map_structure(_spec, inputs)]
        try:
            return keras.Model.export(
                self.exported(), filepath, format=format, input_signature=signature, **arguments
            )
        except Exception as error:  # Each framework raises its own types, often over many lines.
            reason = (str(error).strip() or type(error).__name__).split("\n")[0][:160]
            raise ValueError(
                f"{filepath}: {type(self).__name__} cannot be exported as {format} on "
                f"{keras.backend.backend()}: {reason}"
            ) from error


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


class SamplingModel(keras.Model):
    """A model with one network and its sampling function, without discriminators and optimizers.

    Args:
        network: Network whose weights `draw` uses.
        draw: Function of the inputs that returns images.
    """

    def __init__(self, network: keras.Model, draw: Callable[[Any], Any]):
        super().__init__()
        self.network, self.draw, self.built = network, draw, True

    def call(self, inputs: Any) -> Any:
        return self.draw(inputs)


def _spec(tensor):
    return keras.InputSpec(
        shape=(None, *tensor.shape[1:]), dtype=tensor.dtype, name=getattr(tensor, "name", None)
    )
