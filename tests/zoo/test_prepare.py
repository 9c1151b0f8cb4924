"""`python -m zoo.prepare`: one line for invalid input, counts at the end."""

import json
import os
import pathlib
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from kerasgan.datasets.prepared import load_prepared
from kerasgan.metrics.features import inception
from zoo import prepare

pytest.importorskip("tensorflow_datasets")
pytestmark = pytest.mark.filterwarnings("ignore")  # A warning of TensorFlow Datasets.
ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def call(tool, tmp_path, capsys):
    """Function that runs `python -m zoo.prepare source --flag=value` in this process and returns
    exit code, stdout and stderr.
    """

    def run(*sources, **values):
        code = 0
        try:
            tool("prepare", *sources, **{"data_dir": tmp_path / "tfds"} | values)
        except SystemExit as stopped:
            code = stopped.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def folder(tmp_path):
    """A folder of own images: two splits, and a broken image in train."""
    for split, count in (("train", 4), ("test", 2)):
        (tmp_path / "mine" / split).mkdir(parents=True)
        rows = [
            {"file": f"{index}.png", "captions": [f"bird {index}", "a bird"]}
            for index in range(count)
        ]
        (tmp_path / "mine" / split / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
        for row in rows:
            Image.new("RGB", (12, 12), (0, 99, 0)).save(tmp_path / "mine" / split / row["file"])
    (tmp_path / "mine" / "train" / "2.png").write_bytes(b"\x89PNG broken")
    return tmp_path / "mine"


def test_a_broken_image_raises_or_is_named_and_left_out(call, folder, tmp_path):
    code, _, errors = call("folder", source=str(folder), size=8)
    assert (
        code == 1
        and errors.startswith("error: each file must be a readable image; ")
        and errors.count("\n") == 1
    )
    assert "train/2.png" in errors and not list((tmp_path / "tfds").rglob("*.tfrecord*"))
    code, printed, _ = call("folder", source=str(folder), size=8, corrupt="skip", name="mine")
    assert code == 0
    for line in (
        "found 4 images of train, 2 images of test",
        "left out: each file must be",
        "train: 3 images 8 pixels",
        "test: 2 images",
        "at least 2 captions each, no embeddings",
        'load_prepared("mine", "train") loads it',
    ):
        assert line in printed
    assert load_prepared("mine", "train", tmp_path / "tfds").names == ["0.png", "1.png", "3.png"]


def test_a_second_call_is_harmless_and_other_data_raise(call, folder):
    (folder / "train" / "2.png").write_bytes((folder / "train" / "1.png").read_bytes())
    assert call("folder", source=str(folder), size=8)[0] == 0
    code, printed, _ = call("folder", source=str(folder), size=8)
    assert code == 0 and printed.startswith("prepared before\ntrain: 4 images")
    code, _, errors = call("folder", source=str(folder), size=16)
    assert (
        code == 1
        and "was made from {'source': 'folder'" in errors
        and "give another --name" in errors
    )


def test_an_interrupt_is_one_line(call, folder, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("kerasgan.datasets.prepared.prepare", stop)
    code, _, errors = call("folder", source=str(folder), size=8)
    assert (
        code == 130 and errors == "\nstopped; nothing was written, the same command starts anew\n"
    )


def test_embeddings_by_a_text_encoder(call, folder, tmp_path, monkeypatch):
    lengths = lambda captions: np.array([[len(caption)] * 3 for caption in captions], "float32")  # noqa: E731
    module = types.SimpleNamespace(text_encoder=lambda name: {"lengths": lengths}[name])
    monkeypatch.setitem(sys.modules, "kerasgan.encoders.char_cnn_rnn", module)
    code, printed, _ = call("folder", source=str(folder / "test"), text_encoder="lengths", size=8)
    assert code == 0 and "2 embeddings of 3 numbers" in printed
    data = load_prepared("folder", "train", tmp_path / "tfds")
    assert data.embeddings[:, :, 0].tolist() == [[6, 6], [6, 6]]


def test_synthetic_birds_and_stackgan_folders(call, tmp_path):
    code, printed, _ = call("synthetic_birds", count=3, size=16)
    assert code == 0 and "train: 3 images 16 pixels high" in printed and "test: 1 images" in printed
    assert load_prepared("synthetic_birds", "train", tmp_path / "tfds").attributes.shape[0] == 3
    for split in ("train", "test"):
        (tmp_path / "flowers" / split).mkdir(parents=True)
        content = {
            "filenames": ["jpg/image_1", "jpg/image_2"],
            "class_info": [3, 4],
            "char-CNN-RNN-embeddings": [np.ones((10, 4), "float32")] * 2,
            "76images": [np.full((76, 76, 3), number, "uint8") for number in (1, 2)],
        }
        for name, value in content.items():
            (tmp_path / "flowers" / split / f"{name}.pickle").write_bytes(pickle.dumps(value, 2))
    code, printed, _ = call("flowers", source=str(tmp_path / "flowers"), size=76)
    assert (
        code == 0
        and "train: 2 images 76 pixels high, at least 0 captions each, 10 embeddings" in printed
    )


class Evil:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


def test_bad_input_is_one_line(call, tmp_path):
    (tmp_path / "birds" / "train").mkdir(parents=True)
    for name in ("filenames", "class_info", "char-CNN-RNN-embeddings"):
        (tmp_path / "birds" / "train" / f"{name}.pickle").write_bytes(
            pickle.dumps(Evil(tmp_path / "ran"), 2)
        )
    for arguments, values, message in [
        (
            ["dogs"],
            {},
            "the source must be one of synthetic_birds, birds, flowers, coco, folder, cub_tfds, "
            "flowers_tfds;",
        ),
        ([], {}, "name one source, of synthetic_birds"),
        (["birds", "flowers"], {}, "received birds flowers"),
        (
            ["birds"],
            {},
            "birds needs --source=FOLDER, StackGAN's folder Data/birds, with train/ and test/; "
            "received None",
        ),
        (
            ["birds"],
            {"source": str(tmp_path)},
            "class_info.pickle, char-CNN-RNN-embeddings.pickle missing in ",
        ),
        (
            ["birds"],
            {"source": str(tmp_path / "birds")},
            "contains posix.system; none of it was run",
        ),
        (
            ["folder"],
            {"source": str(tmp_path), "name": "My Birds"},
            "lower-case letters, digits and underscores",
        ),
    ]:
        code, _, errors = call(*arguments, **values)
        assert (
            code == 1
            and errors.startswith("error: ")
            and errors.count("\n") == 1
            and message in errors
        )
    assert not (tmp_path / "ran").exists()


def test_captions_of_class_names_are_recorded_and_fail_fast_offline(call, monkeypatch):
    def no_network(request, timeout):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    code, _, errors = call("cub_tfds")
    assert (
        code == 1 and "caltech_birds2011 is not prepared in" in errors and errors.count("\n") == 1
    )
    assert prepare.data_set("cub_tfds") == "cub_class_name_captions"


def test_in_a_process(tmp_path):
    command = [
        sys.executable,
        "-m",
        "zoo.prepare",
        "coco",
        f"--source={tmp_path}",
        f"--data_dir={tmp_path}",
    ]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: annotations/captions_train2014.json is missing in" in done.stderr


def test_inception_is_converted_and_found_by_evaluate(call, tmp_path, monkeypatch):
    monkeypatch.setattr(inception, "home", lambda: tmp_path / "home")
    made, _ = inception.convert(inception.random_weights(), tmp_path / "weights.h5")
    code, printed, _ = call("inception", weights=str(made))
    assert code == 0 and printed.splitlines()[0] == str(inception.find_weights())
    with (
        monkeypatch.context() as patched
    ):  # Two of StackGAN's networks have the same file name in different folders.

        def made(prefix):
            return types.SimpleNamespace(save=lambda path: path.touch(), protocol={"sha256": "0"})  # noqa: E731

        patched.setattr("kerasgan.metrics.features.slim_inception.SlimInception", made)
        for data in ("birds", "flowers"):
            (tmp_path / data).mkdir()
            (tmp_path / data / "model.ckpt.index").touch()
            code, printed, _ = call("inception", weights=str(tmp_path / data / "model.ckpt"))
            assert printed.splitlines()[0] == str(tmp_path / "home" / f"{data}_model.ckpt.h5")
    code, _, errors = call("inception", weights=str(tmp_path / "none.pth"))
    assert code == 1 and errors.count("\n") == 1 and "none.pth" in errors
