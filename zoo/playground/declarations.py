"""Tabs, panels and values of the page of `zoo.play`.

A tab belongs to a model and has panels. A panel has controls, which are fields of `Values`, and a
function from their values to an answer that can be sent as JSON. The page shows the controls from
the same declarations that check the received values.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable

from zoo import settings as fields
from zoo.settings import Checked, kind_of, setting

LONGEST_CAPTION = 300
NAMES = ("explain", "generate", "langevin", "interpolate")


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
