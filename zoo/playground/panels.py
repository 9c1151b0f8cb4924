"""Tabs and panels of the page of `zoo.play`.

A tab belongs to a model and has panels. A panel has controls, which are fields of `Values`, and a
function from their values to an answer that can be sent as JSON. The page shows the controls from
the same declarations that check the received values.
"""

import base64
import binascii
import dataclasses
import functools
import io
import re
import shlex
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo import explain, latent_options, lazy, sample, settings as fields
from zoo.settings import Checked, kind_of, setting

np = lazy.module("numpy")
PIL_Image = lazy.module("PIL.Image")
image_files = lazy.module("kerasgan.datasets.image_files")
image_values = lazy.module("kerasgan.images")
interpolation = lazy.module("kerasgan.latents.interpolation")
markup = lazy.module("kerasgan.report.markup")
presets = lazy.module("kerasgan.io.presets")
attfind = lazy.module("kerasgan.models.attfind")
style_probe = lazy.module("kerasgan.models.style_probe")

LONGEST_CAPTION = 300
MOST_LABELS = 25
MOST_PIXELS = 2**24  # An upload takes about 8 bytes per pixel.
ATTRIBUTES = "attributes.npz"
NAMES = ("explain", "generate", "langevin", "interpolate")
SOURCES = ("example", "upload", "drawing", "fitted")


@dataclasses.dataclass(frozen=True)
class Values(Checked):
    """Values of the controls. Each panel uses some of them."""

    caption: str = setting("a small red bird with a yellow belly", "Caption")
    second_caption: str = setting("a large blue bird with a black crown", "Second caption")
    labels: str = setting("", "Classes")
    n: int = setting(10, "Number of images", least=1, most=25)
    points: int = setting(3, "Number of random latents", least=2, most=5)
    frames: int = setting(8, "Frames between two points", least=1, most=12)
    steps: int = setting(20, "Langevin steps", least=1, most=60)
    by: str = setting("generator", "Network", choices=("generator", "descriptor"))
    truncation: float = setting(1.0, "Truncation", least=0.0, most=1.0)
    seed: int = fields.seed("Seed")


@dataclasses.dataclass(frozen=True)
class Panel:
    """One card of a tab.

    Attributes:
        title: Title.
        lead: Sentence below the title.
        kind: `"pictures"`, `"frames"` or `"explain"`, which selects the code of the page.
        answer: Function from the received JSON object to the answer.
        controls: Names of fields of `Values`.
        defaults: Values that differ from those of `Values`.
        extra: Entries for the page.
    """

    title: str
    lead: str
    kind: str
    answer: Callable[[dict], dict]
    controls: tuple[str, ...] = ()
    defaults: dict = dataclasses.field(default_factory=dict)
    extra: dict = dataclasses.field(default_factory=dict)

    def about(self) -> dict:
        """Returns the description from which the page makes the panel."""
        declared = {field.name: field for field in dataclasses.fields(Values)}
        controls = []
        for name in self.controls:
            rules, (kind, _) = declared[name].metadata, kind_of(declared[name])
            control = {"name": name, "label": rules["help"], "kind": kind.__name__}
            control |= {key: rules[key] for key in ("least", "most", "choices")}
            if rules["below"] is not None:
                control["most"] = rules["below"] - 1
            default = self.defaults.get(name, declared[name].default)
            controls.append(control | {"default": default})
        about = {"title": self.title, "lead": self.lead, "kind": self.kind, "controls": controls}
        return about | self.extra

    def run(self, received: dict) -> dict:
        """Returns the answer to a JSON object, with the warnings of the model as `notes`.

        Raises:
            ValueError: If a value is not allowed.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answer = self.answer(received)
        notes = [str(one.message) for one in caught if one.category is UserWarning]
        return answer | {"notes": notes}

    def values(self, received: dict) -> Values:
        """Returns the checked values of the controls."""
        unknown = set(received) - set(self.controls)
        if unknown:
            raise ValueError(f"values must be {', '.join(self.controls)}; received another one")
        made = Values(**(self.defaults | received))
        if max(len(made.caption), len(made.second_caption)) > LONGEST_CAPTION:
            raise ValueError(f"a caption must have at most {LONGEST_CAPTION} characters")
        return made


@dataclasses.dataclass(frozen=True)
class Tab:
    """The panels of one model, by name. The model is loaded when they are first used.

    Attributes:
        name: Name of the preset, or of the checkpoint without its folder.
        model: Name of the model's class.
        load: Function that loads the model and returns its panels, with names among `NAMES`.
    """

    name: str
    model: str
    load: Callable[[], dict[str, Panel]]

    @functools.cached_property
    def panels(self) -> dict[str, Panel]:
        return self.load()

    def about(self, received: dict) -> dict:
        """Returns the descriptions of the panels. `received` must be empty."""
        if received:
            raise ValueError("this address takes no values")
        return {"panels": {name: panel.about() for name, panel in self.panels.items()}}

    def run(self, name: str, received: dict) -> dict:
        """Returns the answer of a panel, see `Panel.run`."""
        if name not in self.panels:
            raise ValueError(f"this model has no panel {name}")
        return self.panels[name].run(received)


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
    model = sample.load(checkpoint)
    if not sample.can_sample(model):
        raise ValueError(
            f"--checkpoint must generate images; {checkpoint} is a {type(model).__name__}"
        )
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


class Explanation:
    """Explains the classifier of a StylEx on one image.

    Args:
        model: `StylEx`.
        about: Information of its checkpoint.
        attributes: Its attributes, from `zoo.explain`.
    """

    def __init__(self, model: Any, about: dict, attributes: Any):
        self.model, self.attributes = model, attributes
        self.probe = style_probe.StyleProbe(model, progress=False)
        self.shape = model.image_shape
        self.classes = class_names(model, about)
        self.digits = about.get("data") == "digits"
        # Only data of the package are offered as examples. The page may be public, others' are not.
        data, task = about.get("data"), about.get("classes")
        self.examples = np.zeros((0, *self.shape), "float32")
        if data in ("digits", "synthetic_birds"):
            count = {"num_images": 400} if data == "synthetic_birds" else {}
            held = explain.load(about | count, self.shape[0], self.shape[2], data, task)[1]
            self.examples = held[:16]
        if not len(self.examples):
            self.examples = model.sample(16, seed=0)

    def panel(self) -> Panel:
        """Returns the panel."""
        rows = self.attributes.rows()
        target, rest = self.classes[self.attributes.target], "the others"
        if len(self.classes) == 2:
            rest = self.classes[1 - self.attributes.target]
        extra = {
            "attributes": [f"{i}: {row['layer']} {row['index']}" for i, row in enumerate(rows, 1)],
            "ends": [rest, target],
            "examples": [image_values.png_data_uri(image) for image in self.examples],
            "draw": self.digits,
        }
        lead = (
            f"The classifier tells {' from '.join(self.classes)}. Choose, upload or draw an image; "
            "StylEx reconstructs it. Then move the attributes that the classifier uses."
        )
        return Panel("Explain the classifier", lead, "explain", self.answer, extra=extra)

    def answer(self, received: dict) -> dict:
        """Returns the reconstruction of an image, edited, with the classifier's probabilities.

        Args:
            received: Dictionary with `source` (one of `SOURCES`), `image` (a data URI) or `example`
                (an index), `strengths` (a number in [-1, 1] for each attribute) and `invert`. All
                are optional.
        """
        known = {"source", "image", "example", "strengths", "invert"}
        if set(received) - known:
            raise ValueError(f"values must be {', '.join(sorted(known))}; received another one")
        source = received.get("source", "example")
        if source not in SOURCES:
            raise ValueError(f"source must be one of {', '.join(SOURCES)}")
        strengths = self._strengths(received.get("strengths"))
        image = self._image(source, received)
        encoded = self.probe.encode(image[None])
        (edited,), (logits,) = attfind.edit(self.probe, encoded, self.attributes, strengths[None])
        answer = {
            "edited": image_values.png_data_uri(edited),
            "probabilities": self._probabilities(logits),
        }
        if source == "fitted":
            return answer
        count, target = len(self.attributes), self.attributes.target
        ends = np.concatenate([-np.eye(count), np.eye(count)])
        moved = attfind.edit(self.probe, encoded, self.attributes, ends)[1]
        odds = style_probe.log_odds(moved, target).reshape(2, count).T
        real = self.model.classifier.predict_on_batch(image[None])[0]
        return answer | {
            "fitted": image_values.png_data_uri(image),
            "original": self._probabilities(real),
            "reconstruction": image_values.png_data_uri(encoded.images[0]),
            "effects": np.round(odds.astype("float64"), 3).tolist(),
        }

    def _probabilities(self, logits):
        chances = style_probe.softmax(np.asarray(logits, "float32"))
        return [[name, float(chance)] for name, chance in zip(self.classes, chances, strict=True)]

    def _strengths(self, given):
        count = len(self.attributes)
        if given is None:
            return np.zeros(count, "float32")
        plain = isinstance(given, list) and all(type(x) in (int, float) for x in given)
        if not plain or len(given) != count or not all(-1 <= x <= 1 for x in given):
            raise ValueError(f"strengths must be {count} numbers in [-1, 1]")
        return np.array(given, "float32")

    def _image(self, source, received):
        """Returns the image that is explained, of the model's size, float in [-1, 1]."""
        if source == "example":
            index = received.get("example", 0)
            if type(index) is not int or not 0 <= index < len(self.examples):
                raise ValueError(f"example must be a number from 0 to {len(self.examples) - 1}")
            return self.examples[index]
        pixels = read_upload(received.get("image"), self.shape[2])
        if received.get("invert") is True:
            pixels = 255 - pixels
        if source == "fitted" and pixels.shape != self.shape:
            raise ValueError(f"a fitted image must be {self.shape[0]} x {self.shape[1]} pixels")
        if source == "drawing":
            pixels = centered(pixels)
        return latent_options.fit_image(pixels, *self.shape[:2])


def class_names(model: Any, about: dict) -> list[str]:
    """Returns the names of a model's classes, or their indices if the checkpoint has no names."""
    named = [name.strip() for name in str(about.get("classes") or "").split(",")]
    if "classifier" not in model.sampling_networks:
        return [str(index) for index in range(model.classes)]
    count = model.classifier.output_shape[-1]
    return named if len(named) == count else [str(index) for index in range(count)]


def read_upload(uri: Any, channels: int) -> Any:
    """Reads an image that a user sent.

    Args:
        uri: Data URI with base64.
        channels: 1 or 3.

    Returns:
        uint8 `[H, W, C]`.

    Raises:
        ValueError: If it is not a complete image of a known format with at most `MOST_PIXELS`
            pixels.
    """
    head, comma, content = uri.partition(",") if isinstance(uri, str) else ("", "", "")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise ValueError("image must be a data URI with base64")
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("image must be valid base64") from None

    def check_size(image):
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"an upload may have {MOST_PIXELS:,} pixels; received more")

    image = image_files.read_image(io.BytesIO(data), channels, check_size, "the upload")
    return np.asarray(image).reshape(image.height, image.width, channels)


def centered(pixels: Any) -> Any:
    """Scales a digit to 20 pixels and moves its center of mass to the center, as in MNIST.

    Args:
        pixels: Light ink on black, uint8 `[H, W, C]`.

    Returns:
        uint8 `[28, 28, C]`.
    """
    ink = pixels.max(axis=2) > 32
    if not ink.any():
        raise ValueError("draw a digit first")
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = 20 / max(cut.shape[:2])
    size = [max(1, round(side * scale)) for side in cut.shape[1::-1]]
    small = image_values.picture(cut).resize(size, PIL_Image.Resampling.BOX)
    small = np.asarray(small).reshape(size[1], size[0], -1)
    weight = small.sum(axis=2, dtype="float64")
    across, down = (
        round(14 - float((weight.sum(axis=axis) * (np.arange(side) + 0.5)).sum() / weight.sum()))
        for axis, side in ((0, size[0]), (1, size[1]))
    )
    left, top = (min(max(x, 0), 28 - side) for x, side in ((across, size[0]), (down, size[1])))
    canvas = np.zeros((28, 28, pixels.shape[2]), "uint8")
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas
