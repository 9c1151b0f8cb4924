"""Claim about the log-probability of the normalizing flow, tested on 4,000 digits."""

import pathlib

import numpy as np
from keras import ops

from benchmarks.reproduction.claims import Claim, Experiment, Variant
from benchmarks.reproduction.claims.rules import All, Better, Within
from benchmarks.reproduction.claims.training import training
from benchmarks.reproduction.variants import flow as flow_variants
from kerasgan.models.real_nvp import Couplings

EPOCHS, STEP = 8, 1e-2
FLOW = training(flow_variants.RECIPE, "quick", lambda settings: 8 / 60, name="flow")


def numeric(settings: dict, seed: int, folder: pathlib.Path) -> dict:
    """Measure the inverse and the log-determinant of a small flow with random weights.

    The reference log-determinant is that of a Jacobian from central differences.
    """
    flow, random = Couplings(4, scales=1, depth=4, width=8), np.random.default_rng(seed)
    for variable in flow.trainable_variables:
        variable.assign(random.normal(0, 0.1, variable.shape))
    x, label = random.normal(size=[1, 4, 4, 1]).astype("float32"), np.zeros(1, "int32")
    latents, log_determinant = (ops.convert_to_numpy(part) for part in flow.encode(x, label))
    shifts = STEP * np.eye(16, dtype="float32").reshape(16, 4, 4, 1)
    ends = [
        ops.convert_to_numpy(flow.encode(x + sign * shifts, np.repeat(label, 16))[0])
        for sign in (1, -1)
    ]
    _, numeric = np.linalg.slogdet((ends[0] - ends[1]).astype("float64") / (2 * STEP))
    inverse = ops.convert_to_numpy(flow([latents, label]))
    return {
        "measures": {
            "inverse_error": float(np.abs(inverse - x).max()),
            "log_determinant_error": float(np.abs(log_determinant[0] - numeric)),
            "numbers_a_sample": log_determinant.size,
        }
    }


NUMERIC = Experiment("flow_numeric", numeric, lambda settings: 0.1)

CLAIMS = [
    Claim(
        "flow-logprob",
        {
            "right": Variant(FLOW, {"epochs": EPOCHS}),
            "summed over the batch": Variant(FLOW, {"epochs": EPOCHS, "variant": "summed"}),
            "numeric": Variant(NUMERIC, {}),
        },
        All(
            Better("test_bits_per_dimension", "right", ("summed over the batch",)),
            Within("log_determinant_error", "numeric", high=0.01),
            Within("inverse_error", "numeric", high=1e-4),
        ),
        f"4,000 digits, {EPOCHS} epochs. The measure is the correct number of bits per dimension "
        "of the 1,000 test digits, whatever loss was trained. The numeric check uses a flow of 16 "
        "dimensions with random weights and a Jacobian from differences.",
        {
            "right": "with one log-probability per sample",
            "summed over the batch": "with the sum over the batch",
            "numeric": "of a small random flow",
        },
    )
]
