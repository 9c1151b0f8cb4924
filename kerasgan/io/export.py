"""Export of models that are written as classes: Keras asks such a model to be called first, ours know their inputs."""

import keras


class ExportableModel(keras.Model):
    """A `keras.Model` that says in `call_inputs` what it is called with, so it can be exported before a first call."""

    def call_inputs(self):
        """The inputs of `call` as Keras tensors or `keras.InputSpec`s, one or a list; None where nothing is drawn."""
        return None

    def exported(self):
        """The model that `export` hands to Keras: this one, or a smaller one of the same `call`."""
        return self

    def export(self, filepath, format="tf_saved_model", input_signature=None, **arguments):
        """`keras.Model.export` of what `call` computes, with the inputs of `call_inputs` unless others are given.

        Raises:
            ValueError: one line, where the backend does not support the format or the model has no `call`.
        """
        inputs = self.call_inputs() if input_signature is None else None
        if input_signature is None and inputs is None:
            raise ValueError(
                f"export needs a model that samples; received {type(self).__name__}: export its networks instead"
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
    """`draw`, and the one network that it needs: a whole model would bring its discriminators and optimizers along."""

    def __init__(self, network, draw):
        super().__init__()
        self.network, self.draw, self.built = network, draw, True

    def call(self, inputs):
        return self.draw(inputs)


def _spec(tensor):
    return keras.InputSpec(
        shape=(None, *tensor.shape[1:]), dtype=tensor.dtype, name=getattr(tensor, "name", None)
    )
