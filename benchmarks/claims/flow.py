"""The claim about the normalizing flow, on 4,000 digits: log_prob is one number a sample."""

import numpy as np
from keras import ops

from benchmarks.claims import Arm, Claim, Experiment
from benchmarks.claims.training import training
from benchmarks.claims.verdicts import All, Better, Within
from benchmarks.variants import flow as variants
from kerasgan.models.real_nvp import Couplings

EPOCHS, STEP = 8, 1e-2
FLOW = training(variants.RECIPE, "quick", lambda settings: 8 / 60, name="flow")


def numeric(settings, seed, folder):
    """A small flow with random weights: its inverse, and its log-determinant beside that of a numeric Jacobian."""
    flow, random = Couplings(4, scales=1, depth=4, width=8), np.random.default_rng(seed)
    for variable in flow.trainable_variables:
        variable.assign(random.normal(0, 0.1, variable.shape))
    x, label = random.normal(size=[1, 4, 4, 1]).astype("float32"), np.zeros(1, "int32")
    latents, log_determinant = (ops.convert_to_numpy(part) for part in flow.encode(x, label))
    moved = STEP * np.eye(16, dtype="float32").reshape(16, 4, 4, 1)
    ends = [
        ops.convert_to_numpy(flow.encode(x + way * moved, np.repeat(label, 16))[0])
        for way in (1, -1)
    ]
    _, numeric = np.linalg.slogdet((ends[0] - ends[1]).astype("float64") / (2 * STEP))
    back = ops.convert_to_numpy(flow([latents, label]))
    return {
        "measures": {
            "inverse_error": float(np.abs(back - x).max()),
            "log_determinant_error": float(np.abs(log_determinant[0] - numeric)),
            "numbers_a_sample": log_determinant.size,
        }
    }


NUMERIC = Experiment("flow_numeric", numeric, lambda settings: 0.1)

CLAIMS = [
    Claim(
        "flow-logprob",
        {
            "right": Arm(FLOW, {"epochs": EPOCHS}),
            "summed over the batch": Arm(FLOW, {"epochs": EPOCHS, "arm": "summed"}),
            "numeric": Arm(NUMERIC, {}),
        },
        All(
            Better("test_bits_per_dimension", "right", ("summed over the batch",)),
            Within("log_determinant_error", "numeric", high=0.01),
            Within("inverse_error", "numeric", high=1e-4),
        ),
        f"4,000 digits, {EPOCHS} epochs; bits per dimension of the 1,000 test digits, as they should be whatever was "
        "trained. Numeric: a flow of 16 numbers with random weights, its Jacobian by differences.",
    )
]
