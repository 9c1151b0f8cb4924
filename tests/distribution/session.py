"""Several trainings in one process."""

import keras


def clear_session() -> None:
    """Clears Keras' session but keeps the distribution, which Keras would remove silently."""
    parallel = keras.distribution.distribution()
    keras.backend.clear_session()
    keras.distribution.set_distribution(parallel)


def check_devices(model: keras.Model, devices: int) -> None:
    """Raises an `AssertionError` unless the variables of a JAX model are on all devices."""
    if keras.backend.backend() == "jax":
        found = {len(v.value.sharding.device_set) for v in model.trainable_variables}
        assert found == {devices}, f"variables must be on {devices} devices; they are on {found}"
