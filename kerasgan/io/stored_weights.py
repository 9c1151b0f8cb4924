"""Storage of weights in files: data type, rounding and compression."""

from typing import Any

import h5py
import numpy as np

DTYPES = ("float32", "float16")
MANTISSA_BITS = 10  # Number of mantissa bits of float16.
COMPRESSED = 4096  # Smallest compressed array in bytes: chunks need an index.
CHUNK = 2**24  # Largest array in bytes that is one chunk, for best compression.


def check_storage(dtype: str, mantissa_bits: int | None) -> None:
    """Raises `ValueError` for a data type or a number of bits that files do not have."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be 'float32' or 'float16'; received {dtype!r}")
    if mantissa_bits is not None and (
        dtype != "float16" or mantissa_bits not in range(1, MANTISSA_BITS + 1)
    ):
        raise ValueError(
            f"mantissa_bits must be an integer in 1..{MANTISSA_BITS}, with dtype float16; received "
            f"{mantissa_bits!r} with {dtype}"
        )


def stored(value: np.ndarray, dtype: str, mantissa_bits: int | None = None) -> np.ndarray:
    """Returns an array as it is stored.

    Args:
        value: Array. Types other than floats of up to 32 bits are kept.
        dtype: `"float32"` or `"float16"`. HDF5 has no bfloat16.
        mantissa_bits: Number of mantissa bits of a float16 to keep, in 1..10. Rounded weights
            compress better: each bit less saves about 8 % of the file. The largest relative error
            is `2 ** -(mantissa_bits + 1)`. Vectors, such as biases, are not rounded. `None` rounds
            nothing.
    """
    if "float" not in str(value.dtype) or value.dtype == np.float64:
        return value
    if mantissa_bits is not None and value.ndim > 1:
        mantissa, exponent = np.frexp(value.astype("float32"))  # The mantissa is in [0.5, 1).
        scale = 2.0 ** (mantissa_bits + 1)
        value = np.ldexp(np.round(mantissa * scale) / scale, exponent)
    with np.errstate(over="ignore"):  # The caller reports infinities.
        return value.astype(dtype)


def compression_of(value: np.ndarray) -> dict[str, Any]:
    """Returns the arguments of `h5py.Group.create_dataset` that compress an array without loss.

    The bytes are shuffled: the exponents of all weights come first, which compress well.
    """
    if value.nbytes < COMPRESSED or not value.ndim:
        return {}
    chunks = value.shape if value.nbytes <= CHUNK else True
    return {"chunks": chunks, "shuffle": True, "compression": "gzip", "compression_opts": 9}


def write_weights(group: h5py.Group, values: list[tuple[str, np.ndarray]], compress: bool) -> None:
    """Writes `(path, array)` of each weight to datasets `00000`, `00001` and so on."""
    for index, (name, value) in enumerate(values):
        options = compression_of(value) if compress else {}
        group.create_dataset(f"{index:05d}", data=value, **options).attrs["path"] = name
