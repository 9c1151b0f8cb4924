"""The `README.md` of a preset on a hub: metadata, a picture, how to use it, and the model card.

The metadata are those that Hugging Face reads: library, task, tags, licence, scores
(`model-index`) and an example (`widget`). They are a YAML header whose values are JSON, which is
YAML, too.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

# Conditioning of a model -> task of the hub.
TASKS = {
    "captions": "text-to-image",
    "labels": "unconditional-image-generation",
    None: "unconditional-image-generation",
    "encoder": "feature-extraction",
}
UNKNOWN_LICENCE = "that of the checkpoint's author"
README = """---
{metadata}
---

{card}
{picture}## Use

```
pip install 'kerasgan[hub]'
```

```python
import kerasgan

{example}
```
"""
LOAD = 'model = kerasgan.models.{model}.from_preset("{uri}")\n'
EXAMPLES = {
    "captions": LOAD + "images = model.sample(captions=[{caption}], seed=0)  # in [-1, 1]",
    "labels": LOAD + "images = model.sample(labels=[0, 1], seed=0)  # in [-1, 1]",
    None: LOAD + "images = model.sample(4, seed=0)  # in [-1, 1]",
    "encoder": 'encode = kerasgan.encoders.text_encoder("{uri}")\n'
    "embeddings = encode([{caption}])  # [N, D]",
}


def licence(card: str) -> str | None:
    """Returns the licence that a model card names, such as `"Apache-2.0"`, or `None`."""
    found = re.search(r"Weights: .*?, ([\w.-]+?)(\.\s|\.?$)", card, re.MULTILINE)
    return found[1] if found else None


@dataclasses.dataclass(frozen=True)
class Card:
    """Contents of the model card of a preset on a hub.

    Attributes:
        uri: Address of the preset, such as `hf://owner/name`. Its last part is the name.
        model: Name of the model's class.
        conditioning: `"labels"`, `"captions"` or `None` for a generator, `"encoder"` for a text
            encoder.
        info: Information in the preset's file; `scores` are those of the run's `scores.json`.
        card: Text of `card.md`.
        captions: Captions of the widget.
        picture: File name of the picture.
    """

    uri: str
    model: str
    conditioning: str | None
    info: Mapping[str, Any]
    card: str
    captions: Sequence[str] = ()
    picture: str | None = None

    def metadata(self) -> dict[str, Any]:
        """Returns the metadata for the hub."""
        name, task = self.uri.rstrip("/").rpartition("/")[2], TASKS[self.conditioning]
        kinds = [] if self.conditioning == "encoder" else ["gan"]
        found: dict[str, Any] = {
            "library_name": "keras",
            "license": (licence(self.card) or "other").lower(),
            "pipeline_tag": task,
            "tags": ["keras", "kerasgan", *kinds, self.model.lower()],
        }
        if self.conditioning in ("captions", "encoder"):
            found["language"] = ["en"]
        if self.captions or self.picture:
            output = {"output": {"url": self.picture}} if self.picture else {}
            found["widget"] = [{"text": text, **output} for text in self.captions or [name]]
        scores = {
            key: float(f"{value:.4g}")
            for key, value in (self.info.get("scores") or {}).items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        if scores:
            data = str(self.info.get("data") or "images")
            metrics = [{"type": key, "name": key, "value": value} for key, value in scores.items()]
            result = {"task": {"type": task}, "dataset": {"type": data, "name": data}}
            found["model-index"] = [{"name": name, "results": [{**result, "metrics": metrics}]}]
        return found

    def readme(self) -> str:
        """Returns the text of `README.md`."""
        header = [
            f"{key}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in self.metadata().items()
        ]
        caption = self.captions[0] if self.captions else "a small red bird"
        return README.format(
            metadata="\n".join(header),
            card=self.card.strip() + "\n",
            picture=f"\n![Samples]({self.picture})\n\n" if self.picture else "\n",
            example=EXAMPLES[self.conditioning].format(
                model=self.model, uri=self.uri, caption=json.dumps(caption, ensure_ascii=False)
            ),
        )
