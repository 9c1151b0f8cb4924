"""Logging to Weights & Biases, an experiment tracker (extra `wandb`)."""

import importlib.util
import os
import uuid
from collections.abc import Mapping
from typing import Any

import keras

from kerasgan import distribution
from kerasgan.callbacks.sampling import grids
from kerasgan.io import files
from kerasgan.io.paths import user_path
from kerasgan.io.reading import one_line
from kerasgan.types import Logs


class WandbLog(keras.callbacks.Callback):
    """Logs settings, losses, scores, sample grids and the page of a run to Weights & Biases.

    The environment variables of Weights & Biases apply: with `WANDB_MODE=offline` nothing is sent,
    and `wandb sync` uploads the run later. A resumed `fit` continues the same run. Wandb's own
    Keras callbacks need TensorFlow and one optimizer.

    Place it after `SampleGrid` of the same folder, and call `finish` after `fit`.

    Args:
        folder: Folder of the run. Wandb writes to its sub-folder `wandb`.
        settings: Dict of the settings that wandb shows.
        project: Name of the project. `None` means `$WANDB_PROJECT`, or else `"kerasgan"`.

    Raises:
        ImportError: If wandb is not installed.

    Example:
        ```python
        log = WandbLog("runs/digits", {"epochs": 10})
        gan.fit(images, labels, epochs=10, callbacks=[SampleGrid("runs/digits", sample), log])
        log.finish({"digit_frechet_distance": 21.7})
        ```
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        settings: Mapping[str, Any] | None = None,
        project: str | None = None,
    ):
        super().__init__()
        if importlib.util.find_spec("wandb") is None:
            raise ImportError(
                "logging to Weights & Biases needs the package wandb: pip install 'kerasgan[wandb]'"
            )
        self.folder, self.settings = user_path(folder), dict(settings or {})
        self.project = project or os.environ.get("WANDB_PROJECT") or "kerasgan"
        self.id = uuid.uuid4().hex
        self.run: Any = None

    def get_state(self) -> dict:
        return {"id": self.id}

    def set_state(self, state: dict) -> None:
        self.id = state["id"]

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if self.run is None and distribution.is_chief():  # The state is restored by now.
            self._start()
            if epoch == 0:
                self._log(0, {})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.run is not None:
            self._log(epoch + 1, logs or {})

    def finish(self, scores: Mapping[str, Any] | None = None, exit_code: int = 0) -> None:
        """Adds the final scores and the page of the run as an artifact, and ends the run.

        Args:
            scores: Dict of the final scores and their protocol.
            exit_code: 0, or another number if the training failed or was interrupted.
        """
        if self.run is None:
            return
        import wandb

        self.run.summary.update(dict(scores or {}))
        if (self.folder / "index.html").is_file():
            page = wandb.Artifact(f"page-{self.id}", "page")
            for name in ("index.html", "settings.json", "versions.json", "scores.json"):
                if (self.folder / name).is_file():
                    page.add_file(str(self.folder / name))
            self.run.log_artifact(page)
        self.run.finish(exit_code=exit_code)
        self.run = None

    def _start(self):
        import wandb

        files.make_folder(self.folder)
        try:
            self.run = wandb.init(
                project=self.project,
                name=self.folder.resolve().name,
                id=self.id,
                resume="allow",
                dir=str(self.folder),
                config=self.settings,
                # The output of the terminal and the source code are not sent.
                settings=wandb.Settings(console="off", save_code=False, disable_git=True),
            )
        except wandb.Error as error:
            raise ValueError(f"wandb cannot log this run: {one_line(error)}") from None

    def _log(self, epoch, logs):
        import wandb

        values = {name: float(value) for name, value in logs.items()}
        path = dict(grids(self.folder)).get(epoch)
        if path is not None:
            values["samples"] = wandb.Image(str(path))
        self.run.log(values | {"epoch": epoch}, step=epoch)
