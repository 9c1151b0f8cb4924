"""Makes what the live demo needs: the exported models, and onnxruntime-web from npm.

    python docs/demo/build.py site/demo

    site/demo/models/<preset>/*.onnx    `python -m zoo.export --half` of three presets
    site/demo/models/demo.json          alphabet, vocabulary, style coordinates, held-out digits
    site/demo/ort/                      three files of onnxruntime-web, which npm verifies

Nothing of this is committed. `.cache/demo` keeps the results until the presets or the package
change. If something is missing, one line says so, and the page explains it.
"""

import contextlib
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
ATTRIBUTES = ROOT / "benchmarks" / "results" / "attributes.json"
# What the first attributes change (docs/guides/explain_a_classifier.md).
NAMES = ("size of the lower loop", "width of the waist", "thickness of the stroke")
SLIDERS, CHOICES, RANGE = 6, 8, 250


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


def models(folder: pathlib.Path) -> None:
    """Exports the presets to a folder, and writes `demo.json`."""
    try:
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise MissingError(f"{error.name} is missing: pip install 'kerasgan[export]'") from None
    from kerasgan.io import presets
    from kerasgan.io.export_folder import export_model
    from kerasgan.io.reading import read_json

    about: dict[str, dict] = {}
    for panel, (name, functions) in PRESETS.items():
        model = presets.load(name)
        export_model(model, folder / name, "onnx", functions=functions, half=True)
        about[panel] = {"folder": name, "latent_dim": model.latent_dim}
        if panel == "birds":
            made = read_json(folder / name / "metadata.json", "metadata must be JSON")
            encoder = made["functions"]["text_encoder"]
            about[panel] |= {key: encoder[key] for key in ("alphabet", "vocabulary")}
        if panel == "stylex":
            about[panel] |= explanation(model)
    (folder / "demo.json").write_text(json.dumps(about))


def explanation(model) -> dict:
    """Returns the attributes of the recorded search, ranges of the styles, and held-out digits."""
    import numpy as np

    from kerasgan.datasets.digits import load_digits
    from kerasgan.images import to_uint8
    from kerasgan.models.style_probe import StyleProbe

    def digits(split):
        images, labels = load_digits(split)
        images = images[(labels == 8) | (labels == 9)]
        return np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1.0)

    recorded = json.loads(ATTRIBUTES.read_text())
    styles = StyleProbe(model).encode(digits("train")[:RANGE]).styles
    rows = recorded["attributes"][:SLIDERS]
    names = [*NAMES, *(f"attribute {i + 1}" for i in range(len(NAMES), SLIDERS))]
    return {
        "size": 32,
        "classes": [recorded["target"], recorded["rest"]],
        "noise": np.asarray(model.noise).ravel().tolist(),
        "bounds": [styles.min(axis=0).tolist(), styles.max(axis=0).tolist()],
        "attributes": [
            {"name": name, **{key: row[key] for key in ("coordinate", "direction")}}
            for name, row in zip(names, rows, strict=True)
        ],
        "images": to_uint8(digits("test")[:CHOICES]).reshape(CHOICES, -1).tolist(),
    }


def key(kind: str) -> str:
    """Returns a digest of all that a part of the demo depends on."""
    digest = hashlib.sha256(RUNTIME.encode())
    if kind == "models":
        paths = [pathlib.Path(__file__), ATTRIBUTES, *(ROOT / "kerasgan").rglob("*.py")]
        paths += [p for name, _ in PRESETS.values() for p in (presets_folder() / name).iterdir()]
        for path in sorted(paths):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return f"{kind}-{digest.hexdigest()[:16]}"


def presets_folder() -> pathlib.Path:
    return ROOT / "kerasgan" / "presets"


def cached(kind: str, make) -> pathlib.Path:
    """Returns the folder of a part, made by `make(folder)` unless the cache has it."""
    folder = CACHE / key(kind)
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in CACHE.glob(f"{kind}-*"):
            shutil.rmtree(old)
        temporary = pathlib.Path(tempfile.mkdtemp(dir=CACHE))
        try:
            make(temporary)
            if not folder.is_dir():  # Another process may have made it meanwhile.
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def build(target: pathlib.Path) -> str | None:
    """Writes the demo's files to `target`. Returns what is missing, or `None`."""
    for name in ("models", "ort"):
        shutil.rmtree(target / name, ignore_errors=True)
    try:
        runtime_files, model_files = cached("ort", runtime), cached("models", models)
    except MissingError as error:
        (target / "models").mkdir(parents=True)
        (target / "models" / "demo.json").write_text(json.dumps({"missing": str(error)}))
        return str(error)
    shutil.copytree(runtime_files, target / "ort")
    shutil.copytree(model_files, target / "models")
    return None


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
