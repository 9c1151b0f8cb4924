"""Export of subclassed models that were not called yet. Keras alone requires a first call."""

import keras


class ExportableModel(keras.Model):
    """A `keras.Model` that declares its inputs in `call_inputs`, so `export` works at once."""

    def call_inputs(self):
        """Inputs of `call` as Keras tensors or `InputSpec`s. `None` if the model does not
        sample.
        """
        return None

    def exported(self):
        """Model that `export` passes to Keras: this one, or a smaller one with the same `call`."""
        return self

    def export(self, filepath, format="tf_saved_model", input_signature=None, **arguments):
        """`keras.Model.export` of what `call` computes, with the inputs of `call_inputs` unless
        others are given.

        Raises:
            ValueError: one line, where the backend does not support the format or the model has no
                `call`.
        """
        inputs = self.call_inputs() if input_signature is None else None
        if input_signature is None and inputs is None:
            raise ValueError(
                f"export needs a model that samples; received {type(self).__name__}: export its "
                "networks instead"
            )
        signature = input_signature if inputs is None else [keras.tree.map_structure(_spec, inputs)]
        try:
            return keras.Model.export(
                self.exported(), filepath, format=format, input_signature=signature, **arguments
            )
        except (
            Exception
        ) as error:  # each exporter raises what its framework raises, often over many lines
            reason = (str(error).strip() or type(error).__name__).split("\n")[0][:160]
            raise ValueError(
                f"{filepath}: {type(self).__name__} cannot be exported as {format} on "
                f"{keras.backend.backend()}: {reason}"
            ) from error


class SamplingModel(keras.Model):
    """A model with one network and its sampling function, without discriminators or optimizers."""

    def __init__(self, network, draw):
        super().__init__()
        self.network, self.draw, self.built = network, draw, True

    def call(self, inputs):
        return self.draw(inputs)


def _spec(tensor):
    return keras.InputSpec(
        shape=(None, *tensor.shape[1:]), dtype=tensor.dtype, name=getattr(tensor, "name", None)
    )
