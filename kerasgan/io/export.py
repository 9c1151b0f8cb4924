"""Export of subclassed models that were not called yet. Keras itself requires a first call."""

import os
from collections.abc import Callable
from typing import Any

import keras


class ExportableModel(keras.Model):
    """A `keras.Model` that declares its inputs in `call_inputs`, so `export` works at once."""

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
