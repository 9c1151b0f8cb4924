"""Opens a page in the browser in which you can play with trained models.

    python -m zoo.play
    python -m zoo.play --checkpoint=..._G_epoch_600.h5 --checkpoint=coopnet_digits
    python -m zoo.play --host=0.0.0.0 --port=8000 --noopen

The page has a tab per shipped preset, or per --checkpoint: images of captions, classes and seeds,
interpolation, the Langevin chain of a CoopNet, and the attributes that explain a classifier with
StylEx. It needs the extra `play`: pip install 'kerasgan[play]'. The page requests nothing from
other hosts.
"""

import dataclasses
import importlib.util
import os
import sys
import webbrowser

from zoo import cli, dry_run as dry_runs, lazy, sample
from zoo.settings import Checked, setting

presets = lazy.module("kerasgan.io.presets")
panels = lazy.module("zoo.playground.panels")
server = lazy.module("zoo.playground.server")

LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclasses.dataclass(frozen=True)
class Options(Checked):
    """Flags of the tool."""

    checkpoint: tuple[str, ...] = setting(
        (),
        sample.CHECKPOINT_HELP + " Default: all shipped presets that generate images.",
        repeated=True,
    )
    attributes: str | None = setting(
        None,
        "File attributes.npz of zoo.explain for a StylEx. Default: the one beside its checkpoint, "
        "if there is one.",
    )
    host: str = setting(
        "127.0.0.1",
        "Address to listen at. 0.0.0.0 lets other machines in.",
    )
    port: int = setting(7860, "Port. 0 chooses a free one.", least=0, most=65535)
    open: bool = setting(True, "Open the page in the browser of this machine.")
    queue: int = setting(
        16,
        "Number of requests that may wait at a time. Further ones are refused.",
        least=2,
        most=64,
    )
    trusted_proxy: str | None = setting(
        None, "Address of a reverse proxy whose X-Forwarded-For header names the clients."
    )


def load_tabs(options: Options) -> list:
    """Loads the models and returns the tabs of the page."""
    tabs = []
    for checkpoint in options.checkpoint or presets.names():
        tabs.append(panels.load(checkpoint, options.attributes))
        print(f"{tabs[-1].name:40} {tabs[-1].model}: {', '.join(tabs[-1].panels)}", flush=True)
    return tabs


def dry_run(options: Options) -> None:
    """Prints the options and the tabs of the page."""
    dry_runs.show(options, {})
    load_tabs(options)


def command(options: Options) -> None:
    """Serves the page until Ctrl-C."""
    if importlib.util.find_spec("waitress") is None:
        raise ImportError("zoo.play needs the package waitress: pip install 'kerasgan[play]'")
    tabs = load_tabs(options)
    for tab in tabs:  # Compiles the models, and fails now rather than at the first visitor.
        for panel in tab.panels.values():
            panel.run({})
    application = server.Application(tabs, options.queue)
    serving = server.create_server(application, options.host, options.port, options.trusted_proxy)
    url = f"http://{options.host}:{serving.effective_port}/"
    print(f"the page: {url} (Ctrl-C stops it)", flush=True)
    if options.open and options.host in LOCAL and _has_screen():
        webbrowser.open(url)
    serving.run()


def _has_screen():
    graphical = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return graphical or sys.platform in ("darwin", "win32")


def main() -> None:
    cli.main("zoo.play", Options, command, description=__doc__, dry_run=dry_run)


if __name__ == "__main__":
    main()
