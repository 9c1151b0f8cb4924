"""How fast a training step is beside a plain eager PyTorch program of the same, and a metric beside the usual one.

    python -m benchmarks.speed                       every case, medians of 12 steps and 2 threads
    python -m benchmarks.speed --steps=40 mnist_gan_noted
    python -m benchmarks.speed mnist_gan_by_batch    what a step costs at several sizes; see SCALES

Results go to benchmarks/results/speed.json, a record a case with its command, commit, machine and versions; the table
is printed from that file. Needs the torch extra, a quiet machine, and about a minute a case on two cores (`attfind`
eight: its peer takes 10 to 20 s a step). Two cases need what no extra brings: `inception` torch-fidelity
(`pip install --no-deps torch-fidelity`), `frechet_root` SciPy. Cases that end in `_lean` are against the fastest eager
program of the same that we know; the others of that name against one that does as the published code does.
`hdgan_batches` is our step beside its input pipeline, which must never be what training waits for. The metrics of
`METRICS` are given made-up features, logits or images.

With a model's PyTorch peer goes the arithmetic of its step, as torch counts convolutions and products, and how much of
the machine's own rate of products that is; of ours, which does less arithmetic for the same, it is the useful share.
"""

import functools
import importlib
import itertools
import json
import math
import os
import time
from pathlib import Path

from absl import app, flags

from benchmarks import timing
from kerasgan.io import files

RESULTS = Path(__file__).parent / "results" / "speed.json"
BATCH_SIZE = 128
HDGAN_BATCH_SIZE = 4
INCEPTION_IMAGES = 32
COOPNET_CHAINS = 100
STYLEX_BATCH_SIZE = 8
STYLEX = {"capacity": 8, "max_channels": 256}
# What a step of StylEx has, for its peer.
STYLEX_STEPS = {
    "encoder": {},
    "latents": {"encoder": False},
    "penalty": {"penalty": True},
    "path": {"path": True},
}
ATTFIND_IMAGES, ATTFIND_OTHERS = (
    2,
    16,
)  # those that are explained; those that say how far a coordinate is moved
STYLEGAN2_BATCH_SIZE = 32
STYLEGAN2 = {
    "capacity": 4,
    "max_channels": 128,
}  # with 128 numbers of a latent and 4 layers: `zoo.stylegan2`, quick
STYLEGAN2_STEPS = {
    "": {},
    "_penalty": {"penalty": True},
    "_path": {"path": True},
}  # case's ending -> what a step has
DIGITS_BATCH_SIZE = 64  # of the autoencoder and the flow, as in their recipes
FEATURES_IMAGES = 2000  # of a metric of features of 2,048


def mnist_gan(as_noted, batch_size=BATCH_SIZE, width=64):
    """Our conditional MNIST GAN's training step, compiled as `fit` compiles it."""
    import keras
    import numpy as np

    from kerasgan.models.mnist_gan import MnistGAN, build_discriminator, build_generator

    keras.utils.set_random_seed(0)
    networks = (
        build_generator(width=width),
        build_discriminator(width=width // 2, reproduce_training_notes=as_noted),
    )
    model = MnistGAN(*networks, reproduce_training_notes=as_noted)
    model.compile(**{player: keras.optimizers.Adam(2e-4, beta_1=0.5) for player in model.players})
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, [batch_size, 28, 28, 1]).astype("float32")
    labels = random.integers(0, 10, batch_size).astype("int32")
    return lambda: model.train_on_batch(images, labels)


def mnist_gan_peer(as_noted):
    from benchmarks.peers import mnist_gan

    return (mnist_gan.noted_step if as_noted else mnist_gan.corrected_step)(BATCH_SIZE)


def hdgan(batch_size=HDGAN_BATCH_SIZE, width=128, size=256):
    """Our HDGAN's training step at full width, three scales, batch 4; or at other ones, up to `size`.

    Its operations are large: one at a time on both threads costs little, and keeps fewer maps in memory.
    """
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    import keras
    import numpy as np

    from kerasgan.models.hdgan import HDGAN, SIZES, build_discriminator, build_generator

    keras.utils.set_random_seed(0)
    sizes = [side for side in SIZES if side <= size]
    model = HDGAN(
        build_generator(sizes, width), {side: build_discriminator(side, width) for side in sizes}
    )
    model.compile(**{player: keras.optimizers.Adam(2e-4, beta_1=0.5) for player in model.players})
    random = np.random.default_rng(0)
    real, wrong = random.uniform(-1, 1, [2, batch_size, size, size, 3]).astype("float32")
    embeddings = random.normal(size=[batch_size, 1024]).astype("float32")
    return lambda: model.train_on_batch(real, wrong, embeddings)


def hdgan_peer():
    from benchmarks.peers import hdgan

    return hdgan.training_step(HDGAN_BATCH_SIZE)


def hdgan_batches():
    """The next batch of that step, out of captioned pictures of 304 pixels in memory."""
    import numpy as np

    from kerasgan.datasets.captioned import CaptionedBatches, CaptionedImages

    random, count = np.random.default_rng(0), 200
    pictures = random.integers(0, 256, [count, 304, 304, 3], dtype="uint8")
    embeddings = random.normal(size=[count, 10, 1024]).astype("float32")
    names, captions = [str(i) for i in range(count)], [["a bird"] * 10] * count
    data = CaptionedImages(pictures, np.arange(count) % 50, captions, names, embeddings)
    batches = CaptionedBatches(data, HDGAN_BATCH_SIZE)
    turn = itertools.cycle(range(batches.num_batches))
    return lambda: batches[next(turn)]


def coopnet(steps=10, chains=COOPNET_CHAINS):
    """Our CoopNet's training step: 32 x 32 x 3, 100 chains of 10 Langevin steps, batch 100, as the port sets it."""
    import keras
    import numpy as np

    from kerasgan.models import coopnet

    keras.utils.set_random_seed(0)
    sizes = {"chains": chains, "batch_size": chains, "steps": steps}
    model = coopnet.build(32, 3, settings=coopnet.PORT_CIFAR10 | sizes)
    images = np.random.default_rng(0).uniform(-1, 1, [chains, 32, 32, 3]).astype("float32")
    return lambda: model.train_on_batch(images)


def coopnet_peer(as_ported):
    from benchmarks.peers import coopnet

    return coopnet.training_step(COOPNET_CHAINS, COOPNET_CHAINS, as_ported=as_ported)


def stylex_model(settings, size=32):
    """Our StylEx and its images, [size, size, 3]; no perceptual distance or average; a small classifier."""
    import keras
    import numpy as np
    from keras import layers

    from kerasgan.models import stylex

    keras.utils.set_random_seed(0)
    stack = [
        layers.Conv2D(channels, 3, 2, padding="same", activation="relu")
        for channels in (16, 32, 64)
    ]
    ends = [layers.GlobalAveragePooling2D(), layers.Dense(2)]
    classifier = keras.Sequential([keras.Input((size, size, 3)), *stack, *ends])
    settings = (
        stylex.REPRODUCTION
        | {"perceptual_weight": 0.0, "average": None, "path_source": "encoder"}
        | settings
    )
    model = stylex.build(classifier, settings=settings, **STYLEX)
    shape = [STYLEX_BATCH_SIZE + ATTFIND_OTHERS, size, size, 3]
    return model, np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def stylex(kind, size=32):
    """Our StylEx' training step of one kind; penalties, which are lazy, in each step or in none.

    Its operations are small and many do not wait for each other (reals and fakes are judged apart, the encoder runs
    beside the discriminator), so each gets one of the threads, which then work on as many operations at once.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    model, images = stylex_model(
        {
            "alternation": "step" if kind == "latents" else "none",
            "penalty_weight": 10.0 if kind == "penalty" else 0.0,
            "penalty_every": 1,
            "path_weight": 1.0 if kind == "path" else 0.0,
            "path_every": 1,
            "path_start": 0,
        },
        size,
    )
    images = images[:STYLEX_BATCH_SIZE]

    def step():
        model.turn.assign(0)  # with alternation, the latents'
        model.train_on_batch(images)

    return step


def stylex_peer(kind, as_ported):
    from benchmarks.peers import stylex

    return stylex.training_step(
        STYLEX_BATCH_SIZE, as_ported=as_ported, **STYLEX, **STYLEX_STEPS[kind]
    )


def attfind():
    """What each style coordinate of two images does to the logits, at both ends of its range in sixteen others."""
    import numpy as np

    from kerasgan.models import style_probe

    model, images = stylex_model({})
    probe = style_probe.Probe(model, progress=False)
    images, others = images[:ATTFIND_IMAGES], images[-ATTFIND_OTHERS:]
    styles = probe.encode(others).styles
    bounds = np.stack([styles.min(axis=0), styles.max(axis=0)])
    return lambda: style_probe.effects(probe, images, bounds=bounds)


def attfind_peer():
    from benchmarks.peers import stylex

    return stylex.single_effects(ATTFIND_IMAGES, others=ATTFIND_OTHERS, **STYLEX)


def stylegan2(penalty=False, path=False):
    """StyleGAN2's training step, of small digits with classes; penalties, which are lazy, in each step or in none."""
    import keras
    import numpy as np

    from kerasgan.models import stylegan2
    from kerasgan.ops.augment import translate

    keras.utils.set_random_seed(0)
    networks = {"channels": 1, "conditions": 10} | STYLEGAN2
    gan = stylegan2.StyleGAN2(
        stylegan2.Generator(32, latent_dim=128, depth=4, mapping_form="paper", **networks),
        stylegan2.build_discriminator(32, group=4, **networks),
        penalty_weight=0.5 * penalty,
        penalty_every=1,
        path_weight=2.0 * path,
        path_every=1,
        augment=translate,
    )
    gan.compile(
        **{player: keras.optimizers.Adam(5e-4, beta_1=0.5, beta_2=0.9) for player in gan.players}
    )
    images = (
        np.random.default_rng(0).uniform(-1, 1, [STYLEGAN2_BATCH_SIZE, 32, 32, 1]).astype("float32")
    )
    labels = np.arange(STYLEGAN2_BATCH_SIZE, dtype="int32") % 10
    return lambda: gan.train_on_batch(images, labels)


def stylegan2_peer(penalty=False, path=False):
    from benchmarks.peers import stylegan2

    return stylegan2.training_step(STYLEGAN2_BATCH_SIZE, penalty=penalty, path=path, **STYLEGAN2)


def digits_step(model):
    """The training step on made-up digits of a model that is compiled for them."""
    import numpy as np

    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, [DIGITS_BATCH_SIZE, 28, 28, 1]).astype("float32")
    labels = random.integers(0, 10, DIGITS_BATCH_SIZE).astype("int32")
    return lambda: model.train_on_batch(images, labels)


def vae():
    import keras

    from kerasgan.models.conditional_vae import ConditionalVAE

    keras.utils.set_random_seed(0)
    model = ConditionalVAE()
    model.compile(encoder=keras.optimizers.Adam(1e-3), decoder=keras.optimizers.Adam(1e-3))
    return digits_step(model)


def vae_peer():
    from benchmarks.peers import vae

    return vae.training_step(DIGITS_BATCH_SIZE)


def flow():
    import keras

    from kerasgan.models.real_nvp import RealNVP

    keras.utils.set_random_seed(0)
    model = RealNVP()
    model.compile(flow=keras.optimizers.Adam(1e-3))
    return digits_step(model)


def flow_peer():
    from benchmarks.peers import flow

    return flow.training_step(DIGITS_BATCH_SIZE)


def inception():
    """Features and logits of 32 images of 256 x 256 pixels."""
    import numpy as np

    from kerasgan.metrics.features.inception import Inception, random_weights

    extractor = Inception(random_weights())
    images = np.random.default_rng(0).integers(
        0, 256, [INCEPTION_IMAGES, 256, 256, 3], dtype="uint8"
    )
    return lambda: extractor(images)


def inception_peer():
    from benchmarks.peers import inception

    return inception.features(INCEPTION_IMAGES, 256)


def frechet(way):
    """The distance of two statistics of 10,000 images and 2,048 features."""
    from benchmarks.peers import frechet
    from kerasgan.metrics.frechet import frechet_distance, statistics

    pair = [statistics(frechet.made_up_features(seed=seed)) for seed in (0, 1)]
    if way == "kerasgan":
        return lambda: frechet_distance(*pair)
    return lambda: getattr(frechet, way)(*(each[:2] for each in pair))


def feature_statistics(ours):
    """Mean and covariance of 10,000 images' 2,048 features."""
    from benchmarks.peers import frechet
    from kerasgan.metrics.frechet import statistics

    features = frechet.made_up_features()
    return lambda: (statistics if ours else frechet.numpy_statistics)(features)


def two_features():
    from benchmarks.peers import frechet

    return [frechet.made_up_features(FEATURES_IMAGES, seed=seed) for seed in (0, 1)]


def logits(images=10_000, classes=1008):
    import numpy as np

    return np.random.default_rng(0).normal(0, 3, [images, classes]).astype("float32")


def pairs(count=16, size=256):
    """Pictures of noise, and the same with more of it."""
    import numpy as np

    one, other = np.random.default_rng(0).integers(0, 128, [2, count, size, size, 3], dtype="uint8")
    return one, one + other


def labelled(count, shape, classes):
    import numpy as np

    return np.random.default_rng(0).normal(size=[count, *shape]).astype("float32"), np.arange(
        count
    ) % classes


def captioned(count=2000, numbers=1024, classes=50):
    """Vectors of images and of their captions, which are near, and classes."""
    images, labels = labelled(count, [numbers], classes)
    return images, images + 4 * labelled(count, [numbers], classes)[0][::-1], labels


# metric -> our module, what the peer is written in and its module, and a function that makes the arguments of both.
METRICS = {
    "kernel_distance": (
        "kernel",
        "numpy",
        "metrics",
        lambda: (*two_features(), 25),
    ),  # 25 subsets of 1,000
    "precision_recall": ("manifold", "torch", "metrics", two_features),
    "density_coverage": ("manifold", "numpy", "metrics", two_features),
    "inception_score": ("inception_score", "torch", "metrics", lambda: [logits()]),
    "ms_ssim": ("ms_ssim", "torch", "ms_ssim", pairs),
    "intra_class_diversity": (
        "diversity",
        "torch",
        "metrics",
        lambda: labelled(4000, [28, 28, 1], 10),
    ),
    "r_precision": ("r_precision", "numpy", "metrics", captioned),
}


def metric(module, name, inputs):
    """A metric, by its name in a module."""
    function, arguments = getattr(importlib.import_module(module), name), inputs()
    return lambda: function(*arguments)


# case -> contestant -> a function that builds it (in its own process) and returns its step; the peer comes first.
CASES = {
    "mnist_gan_noted": {"torch": lambda: mnist_gan_peer(True), "kerasgan": lambda: mnist_gan(True)},
    "mnist_gan_corrected": {
        "torch": lambda: mnist_gan_peer(False),
        "kerasgan": lambda: mnist_gan(False),
    },
    "hdgan": {"torch": hdgan_peer, "kerasgan": hdgan},
    "hdgan_batches": {"its step": hdgan, "kerasgan": hdgan_batches},
    "coopnet": {"torch": lambda: coopnet_peer(True), "kerasgan": coopnet},
    "coopnet_lean": {"torch": lambda: coopnet_peer(False), "kerasgan": coopnet},
    "coopnet_steps": {
        "100 Langevin steps": lambda: coopnet(100),
        "kerasgan": coopnet,
    },  # whose memory is the same
    **{
        f"stylex_{kind}{'' if as_ported else '_lean'}": {
            "torch": functools.partial(stylex_peer, kind, as_ported),
            "kerasgan": functools.partial(stylex, kind),
        }
        for as_ported in (True, False)
        for kind in STYLEX_STEPS
    },
    "attfind": {"torch": attfind_peer, "kerasgan": attfind},
    **{
        f"stylegan2{kind}": {
            "torch": functools.partial(stylegan2_peer, **has),
            "kerasgan": functools.partial(stylegan2, **has),
        }
        for kind, has in STYLEGAN2_STEPS.items()
    },
    "vae": {"torch": vae_peer, "kerasgan": vae},
    "flow": {"torch": flow_peer, "kerasgan": flow},
    "inception": {"torch-fidelity": inception_peer, "kerasgan": inception},
    "frechet_root": {
        "scipy": lambda: frechet("matrix_root_distance"),
        "kerasgan": lambda: frechet("kerasgan"),
    },
    "frechet_eigenvalues": {
        "numpy": lambda: frechet("product_eigenvalues_distance"),
        "kerasgan": lambda: frechet("kerasgan"),
    },
    "feature_statistics": {
        "numpy": lambda: feature_statistics(False),
        "kerasgan": lambda: feature_statistics(True),
    },
    **{
        name: {
            language: functools.partial(metric, f"benchmarks.peers.{peer}", name, inputs),
            "kerasgan": functools.partial(metric, f"kerasgan.metrics.{module}", name, inputs),
        }
        for name, (module, language, peer, inputs) in METRICS.items()
    },
}
# Our steps at several sizes: case -> what the sizes are, the sizes, and what builds the step of one.
SCALES = {
    "mnist_gan_by_batch": (
        "images a batch",
        (32, 64, 128, 256),
        lambda batch: mnist_gan(False, batch),
    ),
    "mnist_gan_by_width": ("width", (16, 32, 64, 128), lambda width: mnist_gan(False, width=width)),
    "hdgan_by_batch": ("images a batch, at width 32", (2, 4, 8), lambda batch: hdgan(batch, 32)),
    "hdgan_by_width": ("width", (16, 32, 64), lambda width: hdgan(width=width)),
    "hdgan_by_size": (
        "pixels of the largest side, at width 32",
        (64, 128, 256),
        lambda size: hdgan(4, 32, size),
    ),
    "coopnet_by_chains": ("chains", (25, 50, 100), lambda chains: coopnet(chains=chains)),
    "stylex_by_size": (
        "pixels of a side, encoder's step",
        (16, 32, 64),
        lambda size: stylex("encoder", size),
    ),
}
CASES |= {
    case: {str(size): functools.partial(build, size) for size in sizes}
    for case, (_, sizes, build) in SCALES.items()
}


def exponent(sizes, milliseconds):
    """The e of time ~ size^e, by least squares of the logarithms."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in milliseconds]
    centre, height = sum(x) / len(x), sum(y) / len(y)
    return sum((a - centre) * (b - height) for a, b in zip(x, y, strict=True)) / sum(
        (a - centre) ** 2 for a in x
    )


def arithmetic(case, medians):
    """What a step of a case's PyTorch peer computes, and which shares of the machine's rate `medians` in ms make.

    Returns:
        gflop: of its convolutions and products, two for a multiplication and an addition; products_gflops: a second,
        of NumPy's product of two matrices of 2,048 x 2,048; share: contestant -> gflop over its time over that rate.
    """
    import numpy as np

    from benchmarks.peers.arithmetic import Counter

    step, times = CASES[case]["torch"](), []
    with Counter() as counter:
        step()
    one, other = np.random.default_rng(0).normal(size=(2, 2048, 2048)).astype("float32")
    for _ in range(6):
        start = time.perf_counter()
        one @ other
        times.append(time.perf_counter() - start)
    rate = 2 * 2048**3 / 1e9 / min(times)
    share = {name: counter.gflop / (median / 1000) / rate for name, median in medians.items()}
    return {"gflop": counter.gflop, "products_gflops": rate, "share": share}


def read(results=RESULTS):
    """The records of a result file, case -> record; none where there is no file. Raises ValueError for a broken one."""
    if not results.exists():
        return {}
    try:
        return json.loads(results.read_text())
    except ValueError as error:
        raise ValueError(f"{results} is broken ({error}); delete it or mend it") from None


def table(records):
    """The records as the lines of a text table: milliseconds a step, peak memory, and how many times faster we are."""
    lines = [
        f"{'case':24}{'contestant':14}{'median ms':>10}{'min ms':>10}{'peak MiB':>10}   times faster (min-max)"
    ]
    for case, record in records.items():
        peer = next(iter(record["contestants"]))
        for name, measured in record["contestants"].items():
            ratio = record["ratios"].get(f"{peer} / {name}") if case not in SCALES else None
            gain = (
                f"   {ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else ""
            )
            lines.append(
                f"{case:24}{name:14}{measured['median_ms']:10.1f}{measured['min_ms']:10.1f}{measured['peak_mib']:10.0f}{gain}"
            )
        if case in SCALES:
            lines.append(
                f"{case:24}time grows as {record['sizes']} to the power of {record['exponent']:.2f}"
            )
    return lines


def main(cases, *, results=RESULTS, **settings):
    """Run `cases` (all if none is named) and put their records into the file `results`, beside those of the others."""
    for case in cases:
        if case not in CASES:
            raise ValueError(f"a case must be one of {', '.join(CASES)}; received {case}")
    records = read(results)
    for case in cases or CASES:
        record = timing.compare("benchmarks.speed", case, list(CASES[case]), **settings)
        medians = {name: measured["median_ms"] for name, measured in record["contestants"].items()}
        if case in SCALES:
            what, sizes, _ = SCALES[case]
            record |= {"sizes": what, "exponent": exponent(sizes, medians.values())}
        elif "torch" in medians and case not in {
            "attfind",
            *METRICS,
        }:  # thousands of small steps; no training step
            record["arithmetic"] = arithmetic(case, medians)
        records[case] = record
        files.make_folder(results.parent)
        files.write_json(results, records, indent=1)
        print("\n".join(table({case: records[case]})), flush=True)


if __name__ == "__main__":
    STEPS = flags.DEFINE_integer("steps", 12, "timed steps of each contestant", lower_bound=10)
    BLOCK = flags.DEFINE_integer("block", 2, "timed steps in one turn", lower_bound=1)
    THREADS = flags.DEFINE_integer("threads", 2, "threads of each contestant", lower_bound=1)
    BACKEND = flags.DEFINE_enum(
        "backend", "tensorflow", ["tensorflow", "jax", "torch"], "our side's Keras backend"
    )

    def run(argv):
        settings = {
            "steps": STEPS.value,
            "block": BLOCK.value,
            "threads": THREADS.value,
            "backend": BACKEND.value,
        }
        try:
            main(argv[1:], **settings)
        except (ValueError, RuntimeError) as error:
            raise SystemExit(str(error)) from None

    app.run(run)
