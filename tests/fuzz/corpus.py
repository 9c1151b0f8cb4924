"""Small valid files of every kind, and their readers: reader -> (folder, files to damage, call)."""

import collections
import io
import json
import os
import pathlib
import pickle
import struct
import tarfile
import tempfile
import warnings
import zipfile

import numpy as np

RANDOM = np.random.default_rng(0)


def state_dict(legacy):
    """Writes the file of `torch.save` for one array, without torch."""
    array = np.arange(6, dtype="float32")

    class Pickler(pickle._Pickler):
        def save(self, content, save_persistent_id=True):
            if isinstance(content, tuple) and content[:1] == ("raw",):
                self.write(content[1])
            else:
                super().save(content, save_persistent_id)

    def dump(content):
        file = io.BytesIO()
        Pickler(file, 2).dump(content)
        return file.getvalue()

    view = b"N" if legacy else b""
    storage = (
        b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x06" + view + b"tQ"
    )
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\0K\x02K\x03\x86K\x03K\x01\x86\x89}tR"
    )
    content = dump(
        collections.OrderedDict(weight=("raw", tensor), name="x", epoch=3, both=[1, (2.5, None)])
    )
    if legacy:
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
        parts = [dump(part) for part in (0x1950A86A20F9469CFC6C, 1001, system)] + [
            content,
            dump(["0"]),
        ]
        return b"".join(parts) + struct.pack("<q", 6) + array.tobytes()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/byteorder", b"little")
        archive.writestr("a/data/0", array.tobytes())
    return file.getvalue()


def build(folder):
    """Writes the corpus. Returns reader -> names of the files that may be damaged."""
    import h5py
    import keras
    from PIL import Image

    from kerasgan.datasets.captioned import CaptionedImages
    from kerasgan.datasets.prepared import prepare
    from kerasgan.io import checkpoints
    from kerasgan.metrics.frechet import Statistics, save_statistics
    from kerasgan.models.stylegan2 import Generator, StyleGAN2, build_discriminator

    def sub(name):
        (folder / name).mkdir(parents=True)
        return folder / name

    network = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    checkpoints.save_network(sub("network") / "toy_x_4_G_epoch_1.h5", network, epoch=1)
    gan = StyleGAN2(
        generator=Generator(8, capacity=2, latent_dim=4, depth=1),
        discriminator=build_discriminator(8, capacity=2),
    )
    gan.compile(generator=keras.optimizers.SGD(), discriminator=keras.optimizers.SGD())
    checkpoints.save(sub("resume"), gan, run="toy", dataset="x", size=8, epoch=1)
    gan.save_to_preset(sub("preset"))
    with tarfile.open(sub("archive") / "toy.tar.gz", "w:gz") as tar:
        tar.add(folder / "preset" / "G.h5", "toy/G.h5")
        tar.add(folder / "preset" / "card.md", "toy/card.md")
    network.save(sub("keras") / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.save(sub("keras_h5") / "model.h5")
    data = {
        "a": [RANDOM.random((2, 3)).astype("f4"), np.array(["x"])],
        "b": (1, 2.5, None, b"c", {1, 2}),
        "d": "é" * 9,
    }
    for protocol in (0, 2, 5):
        (sub(f"pickle{protocol}") / "data.pickle").write_bytes(pickle.dumps(data, protocol))
    (sub("pth") / "new.pth").write_bytes(state_dict(False))
    (sub("legacy") / "legacy.pth").write_bytes(state_dict(True))
    images = RANDOM.integers(0, 255, (5, 6, 6, 3), dtype="uint8")
    np.save(sub("npy") / "images.npy", images)
    np.savez_compressed(sub("npz") / "images.npz", images=images)
    with h5py.File(sub("h5") / "images.h5", "w") as file:
        file["images"] = images
        file.create_dataset(
            "output_64", data=images, compression="gzip", shuffle=True, chunks=(2, 3, 6, 3)
        )
    save_statistics(
        sub("statistics") / "s.npz",
        Statistics(np.zeros(3), np.eye(3), 9, {"network": "x"}, {"count": 9}),
    )
    coco = sub("coco")
    (coco / "annotations").mkdir()
    (coco / "train2014").mkdir()
    Image.fromarray(images[0]).save(coco / "train2014" / "a.jpg")
    annotations_of_coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "caption": "a cat"}],
    }
    (coco / "annotations" / "captions_train2014.json").write_text(json.dumps(annotations_of_coco))
    birds = sub("stackgan")
    (birds / "train").mkdir()
    for name, content in (
        ("filenames", ["a/x", "a/y"]),
        ("class_info", [1, 2]),
        ("8images", [images[0], images[1]]),
        ("char-CNN-RNN-embeddings", [RANDOM.random((2, 3)).astype("f4")] * 2),
    ):
        if name == "8images":
            content = [np.zeros((8, 8, 3), "uint8")] * 2
        (birds / "train" / f"{name}.pickle").write_bytes(pickle.dumps(content, 2))
    for name in ("captions", "captions_txt", "classes"):
        here = sub(name) / "finch"
        here.mkdir()
        Image.fromarray(images[0]).save(here / "x.png")
        Image.fromarray(images[1]).save(here / "y.jpg")
        if name == "captions_txt":
            for stem in "xy":
                (here / f"{stem}.txt").write_text("a red bird\n")
    lines = [{"file": f"finch/{n}", "captions": ["a bird"], "class": n} for n in ("x.png", "y.jpg")]
    (folder / "captions" / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    splits = {
        "train": CaptionedImages(images, np.arange(5, dtype="int32"), [["a"]] * 5, [*"abcde"])
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepare("toy", splits, {"data": "x"}, sub("prepared"))
    np.savez(sub("lpips") / "w.npz", a=np.zeros(3, "f4"))
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    tensors = struct.pack("<Q", len(header)) + header + bytes(8)
    (sub("safetensors") / "w.safetensors").write_bytes(tensors)


def readers():
    """reader -> (files that are damaged, function of a folder)."""
    import keras

    from kerasgan.datasets.caption_folder import caption_folder
    from kerasgan.datasets.coco import coco_folder
    from kerasgan.datasets.folder import load_folder
    from kerasgan.datasets.image_source import image_source
    from kerasgan.datasets.pickles import load_pickle
    from kerasgan.datasets.prepared import load_prepared, read_origin
    from kerasgan.datasets.stackgan import stackgan_folder
    from kerasgan.datasets.torch_file import load_torch_file
    from kerasgan.io import archives, checkpoints, presets
    from kerasgan.losses.perceptual import read_arrays
    from kerasgan.metrics.frechet import load_statistics
    from kerasgan.models.stylegan2 import StyleGAN2
    from zoo.evaluation_images import extractor

    G = "toy_x_8_G_epoch_1.h5"
    kept = {}

    def resume(folder):
        if not kept:
            import keras

            kept["gan"], _ = checkpoints.load_model(os.environ["FUZZ_CORPUS"] + f"/resume/{G}")
            kept["gan"].compile(
                generator=keras.optimizers.SGD(), discriminator=keras.optimizers.SGD()
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            checkpoints.resume(folder, kept["gan"])

    def prepared(folder):
        load_prepared("toy", "train", folder)
        read_origin(folder / "kerasgan_toy" / "1.0.0")

    def fresh(call):
        def read(path):
            call(path)
            keras.backend.clear_session()

        return read

    def h5(path):
        return [list(image_source(path, key=key)) for key in ("images", "output_64")]

    def of(name, call):
        return lambda folder: call(folder / name)

    def unpacked(path):
        with tempfile.TemporaryDirectory() as target:
            archives.unpack(path, pathlib.Path(target), path.name)

    def every(data):
        return [np.asarray(data.images[i]) for i in range(len(data.images))]

    pickles = {f"pickle{p}": (["data.pickle"], of("data.pickle", load_pickle)) for p in (0, 2, 5)}
    prepared_files = ["features.json", "dataset_info.json", "metadata.json"]
    prepared_files.append("kerasgan_toy-train.tfrecord-00000-of-00001")
    birds = ["filenames", "class_info", "8images", "char-CNN-RNN-embeddings"]
    return pickles | {
        "network": (
            ["toy_x_4_G_epoch_1.h5"],
            of("toy_x_4_G_epoch_1.h5", fresh(checkpoints.load_network)),
        ),
        "model": ([G], lambda folder: fresh(checkpoints.load_model)(folder / G)),
        "resume": (["toy_x_8_resume_epoch_1.h5", G], resume),
        "preset": (["G.h5"], lambda folder: fresh(lambda f: presets.load(f, StyleGAN2))(folder)),
        "archive": (["toy.tar.gz"], of("toy.tar.gz", unpacked)),
        "keras": (["model.keras"], of("model.keras", lambda path: fresh(extractor)(str(path)))),
        "keras_h5": (["model.h5"], of("model.h5", lambda path: fresh(extractor)(str(path)))),
        "pth": (["new.pth"], of("new.pth", load_torch_file)),
        "legacy": (["legacy.pth"], of("legacy.pth", load_torch_file)),
        "npy": (["images.npy"], of("images.npy", lambda path: list(image_source(path)))),
        "npz": (["images.npz"], of("images.npz", lambda path: list(image_source(path)))),
        "h5": (["images.h5"], of("images.h5", h5)),
        "statistics": (["s.npz"], of("s.npz", load_statistics)),
        "coco": (
            ["annotations/captions_train2014.json"],
            lambda folder: every(coco_folder(folder, size=8)),
        ),
        "stackgan": (
            [f"train/{n}.pickle" for n in birds],
            lambda folder: stackgan_folder(folder, size=8),
        ),
        "captions": (
            ["captions.jsonl", "finch/x.png", "finch/y.jpg"],
            lambda f: every(caption_folder(f, 8)),
        ),
        "captions_txt": (["finch/x.txt"], lambda folder: every(caption_folder(folder, 8))),
        "classes": (["finch/x.png", "finch/y.jpg"], lambda folder: load_folder(folder, 8)),
        "images": (
            ["finch/x.png", "finch/y.jpg"],
            lambda folder: list(image_source(folder, convert=True)),
        ),
        "prepared": ([f"kerasgan_toy/1.0.0/{name}" for name in prepared_files], prepared),
        "lpips": (["w.npz"], of("w.npz", read_arrays)),
        "safetensors": (["w.safetensors"], of("w.safetensors", read_arrays)),
    }


SLOW = {
    "network",
    "model",
    "resume",
    "preset",
    "keras",
    "keras_h5",
}  # These build networks, so they get a sixth of the cases.
FOLDERS = {"model": "resume", "images": "classes"}  # Readers of the files of another reader.


def folder_of(corpus, reader):
    return pathlib.Path(corpus) / FOLDERS.get(reader, reader)
