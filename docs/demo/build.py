"""Makes what the live demo needs: the exported models, and onnxruntime-web from npm.

    python docs/demo/build.py site/demo

    site/demo/models/<preset>/*.onnx    `python -m zoo.export --half` of three presets
    site/demo/models/demo.json          alphabet, vocabulary, attributes, held-out digits
    site/demo/ort/                      three files of onnxruntime-web, which npm verifies

No file of it is in the repository. `.cache/demo` keeps the results until the presets or the package
change. A missing program or package is one line here and on the page.
"""

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "demo"
# Panel of the page -> its preset, and the functions that it runs.
PRESETS = {
    "birds": ("projected_text_gan_synthetic_birds_256", ("generator", "text_encoder")),
    "digits": ("mnist_gan_digits", ("generator",)),
    "stylex": ("stylex_digits_8_9", ("classifier", "encoder", "styles", "synthesis")),
}
RUNTIME = "onnxruntime-web@1.30.0"
# The build for WebAssembly alone; it also runs with one thread.
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
# Effects of the first attributes, as in docs/guides/explain_a_classifier.md.
NAMES = ("size of the lower loop", "width of the waist", "thickness of the stroke")
SLIDERS, CHOICES = 6, 8


class MissingError(RuntimeError):
    """The demo cannot be built. The message is one line."""


def runtime(folder: pathlib.Path) -> None:
    """Copies the files of onnxruntime-web to a folder. npm compares its checksum."""
    if shutil.which("npm") is None:
        raise MissingError("npm is not installed, so onnxruntime-web is missing")
    with tempfile.TemporaryDirectory() as temporary:
        command = ["npm", "pack", RUNTIME, "--silent", "--pack-destination", temporary]
        try:
            subprocess.run(command, cwd=temporary, capture_output=True, timeout=300, check=True)
        except (subprocess.SubprocessError, OSError):
            raise MissingError(f"npm could not fetch {RUNTIME}") from None
        with tarfile.open(next(pathlib.Path(temporary).glob("*.tgz"))) as tar:
            for name in FILES:
                content = tar.extractfile(f"package/dist/{name}")
                (folder / name).write_bytes(content.read())


def model(panel: str, folder: pathlib.Path) -> None:
    """Exports the preset of a panel to a folder, with what the page must know in `about.json`."""
    try:
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise MissingError(f"{error.name} is missing: pip install 'kerasgan[export]'") from None
    from kerasgan.io import presets
    from kerasgan.io.export_folder import export_model
    from kerasgan.io.reading import read_json

    name, functions = PRESETS[panel]
    loaded = presets.load(name)
    export_model(loaded, folder / name, "onnx", functions=functions, half=True)
    about = {"folder": name, "latent_dim": loaded.latent_dim}
    if panel == "birds":
        made = read_json(folder / name / "metadata.json", "metadata must be JSON")
        encoder = made["functions"]["text_encoder"]
        about |= {key: encoder[key] for key in ("alphabet", "vocabulary")}
    if panel == "stylex":
        about |= explanation(loaded, presets.find(name) / "attributes.npz")
    (folder / "about.json").write_text(json.dumps(about))


def explanation(stylex, attributes_file: pathlib.Path) -> dict:
    """Returns the attributes of the preset, ranges of the styles, and held-out digits."""
    import numpy as np

    from kerasgan.datasets.digits import load_digits
    from kerasgan.images import to_uint8
    from kerasgan.models.attfind import Attributes

    attributes = Attributes.load(attributes_file)
    names = [*NAMES, *(f"attribute {i + 1}" for i in range(len(NAMES), SLIDERS))]
    images, labels = load_digits("test")
    images = images[(labels == 8) | (labels == 9)][:CHOICES]
    images = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1.0)
    return {
        "size": 32,
        "classes": ["8", "9"],
        "noise": np.asarray(stylex.noise).ravel().tolist(),
        "bounds": attributes.bounds.tolist(),
        "attributes": [
            {"name": name, **{key: row[key] for key in ("coordinate", "direction")}}
            for name, row in zip(names, attributes.rows()[:SLIDERS], strict=True)
        ],
        "images": to_uint8(images).reshape(CHOICES, -1).tolist(),
    }


def key(part: str) -> str:
    """Returns a digest of all that a part of the demo (`ort` or a panel) depends on."""
    digest = hashlib.sha256(RUNTIME.encode())
    if part in PRESETS:
        package = ROOT / "kerasgan"
        paths = [pathlib.Path(__file__), *package.rglob("*.py")]
        paths += (package / "presets" / PRESETS[part][0]).iterdir()
        for path in sorted(paths):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return f"{part}-{digest.hexdigest()[:16]}"


def cached(part: str, make) -> pathlib.Path:
    """Returns the folder of a part, made by `make(folder)` unless the cache has it."""
    folder = CACHE / key(part)
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in set(CACHE.glob(f"{part}-*")) - {folder}:
            shutil.rmtree(old, ignore_errors=True)
        temporary = pathlib.Path(tempfile.mkdtemp(dir=CACHE))
        try:
            make(temporary)
            if not folder.is_dir():  # Another process may have made it meanwhile.
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def build(target: pathlib.Path, panels: Iterable[str] = tuple(PRESETS)) -> str | None:
    """Writes the files of some panels to `target`. Returns what is missing, or `None`."""
    for name in ("models", "ort"):
        shutil.rmtree(target / name, ignore_errors=True)
    about: dict[str, Any] = {}
    try:
        runtime_files = cached("ort", runtime)
        folders = {panel: cached(panel, functools.partial(model, panel)) for panel in panels}
    except MissingError as error:
        missing, about = str(error), {"missing": str(error)}
        (target / "models").mkdir(parents=True)
    else:
        missing = None
        shutil.copytree(runtime_files, target / "ort")
        for panel, folder in folders.items():
            about[panel] = json.loads((folder / "about.json").read_text())
            name = PRESETS[panel][0]
            shutil.copytree(folder / name, target / "models" / name)
    (target / "models" / "demo.json").write_text(json.dumps(about))
    return missing


def main() -> None:
    if len(sys.argv) != 2 or re.match("-", sys.argv[1]):
        print(__doc__)
        return
    target = pathlib.Path(sys.argv[1])
    os.environ["KERAS_BACKEND"] = "tensorflow"  # It exports all functions to ONNX.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.redirect_stdout(sys.stderr):
        missing = build(target)
    if missing:
        print(f"note: the live demo was left out: {missing}", file=sys.stderr)
        return
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{target}: live demo, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
