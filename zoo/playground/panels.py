"""Panels of the page of `zoo.play`: generation, interpolation and the Langevin chain.

`tab` returns the tab of a model. Panels and tabs are declared in `declarations`, and the panel that
explains a classifier is in `explanation`.
"""

import functools
import re
import shlex
from pathlib import Path

from zoo import lazy, sample
from zoo.playground.declarations import NAMES as NAMES, Panel as Panel, Tab as Tab, Values as Values
from zoo.playground.explanation import Explanation, class_names

np = lazy.module("numpy")
image_values = lazy.module("kerasgan.images")
interpolation = lazy.module("kerasgan.latents.interpolation")
markup = lazy.module("kerasgan.report.markup")
presets = lazy.module("kerasgan.io.presets")
attfind = lazy.module("kerasgan.models.attfind")

MOST_LABELS = 25
ATTRIBUTES = "attributes.npz"


def tab(checkpoint: str, attributes: str | None = None) -> Tab:
    """Returns the tab of a model, without loading its weights.

    Args:
        checkpoint: Checkpoint file or preset.
        attributes: File of `zoo.explain` with the attributes of a StylEx. `None` reads
            attributes.npz beside the checkpoint, if there is one.

    Raises:
        ValueError: If there is no such checkpoint, or it has no generator.
    """
    is_file = presets.is_file(checkpoint)
    folder = Path(checkpoint).parent if is_file else presets.find(checkpoint)
    name = Path(checkpoint).stem if is_file else folder.name
    if not is_file and not (folder / "G.h5").is_file():
        raise ValueError(f"--checkpoint must generate images; {checkpoint} has no generator")
    load = functools.partial(_panels, checkpoint, folder, name, attributes)
    return Tab(name, sample.about(checkpoint)["model"], load)


def _panels(checkpoint, folder, name, attributes):
    """Loads a model and returns its panels."""
    model = sample.load_to_sample(checkpoint)
    about = sample.about(checkpoint, model)
    panels, found = _Panels(name, model, about), {}
    path = Path(attributes) if attributes else folder / ATTRIBUTES
    if "classifier" in model.sampling_networks and (attributes or path.is_file()):
        found["explain"] = Explanation(model, about, attfind.Attributes.load(path)).panel()
    found["generate"] = panels.generate()
    if "descriptor" in model.sampling_networks:
        found["langevin"] = panels.langevin()
    found["interpolate"] = panels.interpolate()
    return found


class _Panels:
    """The panels of every model: generation, interpolation and the Langevin chain."""

    def __init__(self, name, model, about):
        self.name, self.model, self.side = name, model, model.data_spec().parts[0].shape[0]
        self.classes = class_names(model, about) if model.conditioning == "labels" else []
        conditions = {"captions": ("caption",), "labels": ("labels",), None: ("n",)}
        self.controls = conditions[model.conditioning]
        self.styled = ("truncation",) if "noise" in model.sampling_inputs() else ()

    def generate(self):
        by = ("by",) if "by" in self.model.sample_options else ()
        lead = {
            "captions": "One image per caption, at each of the model's resolutions.",
            "labels": f"Labels separated by commas, out of {', '.join(self.classes)}.",
            None: "Images of random latents.",
        }[self.model.conditioning]
        controls = (*self.controls, *by, *self.styled, "seed")
        defaults = {"labels": ",".join(self.classes[:10])}

        def answer(received):
            values = panel.values(received)
            given = self._given(values, controls)
            if self.model.conditioning == "captions":
                made = self.model.sample(captions=[values.caption], seed=values.seed, sizes="all")
                shown = {f"{size} x {size}": images[0] for size, images in made.items()}
                flags = {"caption": values.caption}
            else:
                names, given, flags = self._conditions(values, given)
                made = self.model.sample(seed=values.seed, **given)
                named = [f"{i}: {name}" for i, name in enumerate(names)]
                shown = dict(zip(named, made, strict=True))
            flags |= {name: getattr(values, name) for name in by}
            if given.get("truncation", 1) != 1:
                flags["truncation"] = values.truncation
            command = self._command("sample", seed=values.seed, **flags)
            return {"pictures": self._pictures(shown, values.seed), "command": command}

        panel = Panel("Generate", lead, "pictures", answer, controls, defaults)
        return panel

    def interpolate(self):
        by_condition = {
            "captions": ("caption", "second_caption"),
            "labels": ("labels",),
            None: ("points",),
        }
        controls = (*by_condition[self.model.conditioning], "frames", *self.styled, "seed")
        defaults = {"labels": ",".join(self.classes[-2:]), "truncation": 1.0}
        lead = {
            "captions": "From one caption and random latent to another.",
            "labels": "Through random latents of 2 to 4 classes, separated by commas.",
            None: "Through random latents.",
        }[self.model.conditioning] + " Move the slider, or play it."

        def answer(received):
            values = panel.values(received)
            options = {"seed": values.seed, "loop": False, "truncation": values.truncation}
            flags: dict = {"seed": values.seed, "frames": values.frames, "loop": False}
            points = 2
            if self.model.conditioning == "captions":
                captions = [values.caption, values.second_caption]
                options |= {"captions": captions}
                flags |= {"caption": captions}
            elif self.model.conditioning == "labels":
                _, given, more = self._conditions(values, {})
                points = len(given["labels"])
                if not 2 <= points <= 4:
                    raise ValueError(f"give 2 to 4 classes; received {points}")
                options |= given
                flags |= more
            else:
                points = values.points
                flags |= {"points": points}
                if "statistics" in self.model.sample_options:
                    options["statistics"] = "running"
            if values.truncation != 1:
                flags["truncation"] = values.truncation
            frames = interpolation.interpolate(self.model, points, values.frames, **options)
            names = [f"frame {i}" for i in range(len(frames))]
            shown = dict(zip(names, frames, strict=True))
            return {
                "pictures": self._pictures(shown, values.seed),
                "command": self._command("interpolate", **flags),
            }

        panel = Panel("Interpolate", lead, "frames", answer, controls, defaults)
        return panel

    def langevin(self):
        lead = (
            "The generator proposes an image, and the descriptor revises it by Langevin dynamics "
            "without noise, as in sampling. The curve shows the descriptor's energy at each step."
        )

        def answer(received):
            values = panel.values(received)
            images, energies = self.model.revisions(1, seed=values.seed, steps=values.steps)
            change = ((energies[:, 0] - energies[0, 0]) / 1000).tolist()
            names = [f"step {i}: {energy:+.1f}" for i, energy in enumerate(change)]
            shown = dict(zip(names, images[:, 0], strict=True))
            curve = {"energy / 1000, minus that of step 0": list(enumerate(change))}
            flags = {"n": 1, "by": "descriptor", "steps": values.steps, "seed": values.seed}
            return {
                "pictures": self._pictures(shown, values.seed),
                "chart": markup.chart(curve, by="step"),
                "command": self._command("sample", **flags),
            }

        panel = Panel("Langevin chain", lead, "frames", answer, ("steps", "seed"))
        return panel

    def _given(self, values, controls):
        names = [name for name in ("by", "truncation") if name in controls]
        return {name: getattr(values, name) for name in names}

    def _conditions(self, values, given):
        """Returns names of the images, arguments of `sample`, and flags of the command."""
        if self.model.conditioning is None:
            return ["latent"] * values.n, given | {"n": values.n}, {"n": values.n}
        names = re.split(r"[\s,;]+", values.labels.strip(" \n\t,;"))
        if len(names) > MOST_LABELS or set(names) - set(self.classes):
            known = ", ".join(self.classes)
            raise ValueError(f"give 1 to {MOST_LABELS} classes of {known}, separated by commas")
        labels = [self.classes.index(name) for name in names]
        return (
            [f"class {name}" for name in names],
            given | {"labels": labels},
            {"labels": ",".join(map(str, labels))},
        )

    def _pictures(self, shown, seed):
        pictures = []
        for index, (name, image) in enumerate(shown.items()):
            image = np.clip(image, -1.0, 1.0)
            file = f"{self.name}_seed{seed}_{index}.png"
            pictures.append({"name": name, "file": file, "src": image_values.png_data_uri(image)})
        return pictures

    def _command(self, tool, **flags):
        words = ["python", "-m", f"zoo.{tool}", f"--checkpoint={self.name}"]
        for name, value in flags.items():
            if value is False:
                words.append(f"--no{name}")
            else:
                several = value if isinstance(value, list) else [value]
                words += [f"--{name}={one}" for one in several]
        return shlex.join(words)
