"""Opens a page in the browser in which you can play with trained models.

    python -m zoo.play
    python -m zoo.play --checkpoint=..._G_epoch_600.h5 --checkpoint=coopnet_digits
    python -m zoo.play --host=0.0.0.0 --port=8000 --noopen

The page has a tab per shipped preset, or per --checkpoint: images from captions, classes and seeds,
interpolation, the Langevin chain of a CoopNet, and the attributes that explain a classifier with
StylEx. The model of a preset is loaded when its tab is first opened. The page requests nothing
from other hosts. It needs the extra `play`: pip install 'kerasgan[play]'.
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
        "Address to listen at. 0.0.0.0 allows connections from other machines.",
    )
    port: int = setting(7860, "Port. 0: a free one.", least=0, most=65535)
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


def find_tabs(options: Options) -> list:
    """Returns the tabs of the page. Files of a user are loaded now, to find mistakes."""
    tabs = [panels.tab(one, options.attributes) for one in options.checkpoint or presets.names()]
    for tab in tabs:
        offers = ""
        if options.checkpoint or options.attributes:
            offers = f": {', '.join(tab.panels)}"
        print(f"{tab.name:40} {tab.model}{offers}", flush=True)
    return tabs


def dry_run(options: Options) -> None:
    """Prints the options and the tabs of the page."""
    dry_runs.show(options, {})
    find_tabs(options)


def command(options: Options) -> None:
    """Serves the page until Ctrl-C."""
    if importlib.util.find_spec("waitress") is None:
        raise ImportError("zoo.play needs the package waitress: pip install 'kerasgan[play]'")
    tabs = find_tabs(options)
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
