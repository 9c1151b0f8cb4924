"""`python -m zoo.evaluate` on images: inputs, names of scores, protocol, errors in one line."""

import json
import types

import h5py
import keras
import numpy as np
import pytest
import tiny_hub
from PIL import Image

from kerasgan.io import checkpoints, presets
from kerasgan.metrics.features import inception
from kerasgan.metrics.frechet import load_statistics, save_statistics, statistics
from kerasgan.models import hdgan, mnist_gan
from kerasgan.models.classifier import build_classifier
from zoo import evaluation_images, text_gan

RANDOM = np.random.default_rng(0)
ONE, OTHER = RANDOM.integers(0, 256, (2, 24, 8, 8, 3), "uint8")
FEW = {"splits": 2, "subset_size": 10, "subsets": 3}
DEFAULTS = dict.fromkeys(
    "checkpoint samples reference metrics inception count key reference_key cache "
    "save_statistics shuffle_seed "
    "drop_remainder text_encoder data_dir by out features resize".split()
) | {
    "convert": False,
    "mixed_sizes": False,
    "batch_size": 32,
    "splits": 10,
    "subsets": 100,
    "subset_size": 1000,
    "k": 3,
    "density_k": 5,
    "pairs": 100,
    "scales": 5,
    "seed": 1,
}


@pytest.fixture
def call(tool, tmp_path, capsys):
    """Function that runs the command in this process. It returns the written JSON (`None` after an
    error), stdout and stderr.
    """
    out = tmp_path / "scores.json"

    def run(**values):
        out.unlink(missing_ok=True)
        try:
            tool("evaluate", **{"out": out} | values)
        except SystemExit as stopped:
            assert stopped.code == 1 and not out.exists()
        return json.loads(out.read_text()) if out.exists() else None, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Equal images in a folder and an HDF5 file, others in an .npz, and a classifier of 8 x 8
    images.
    """
    folder = tmp_path_factory.mktemp("images")
    (folder / "ones").mkdir()
    for index, image in enumerate(ONE):
        Image.fromarray(image).save(folder / "ones" / f"{index:02d}.png")
    with h5py.File(folder / "ones.h5", "w") as file:
        file["output_64"], file["output_128"] = ONE[:, :4], ONE
    np.savez(folder / "others.npz", images=OTHER)
    keras.utils.set_random_seed(0)
    network = build_classifier(size=8, channels=3, width=2, features=4)
    network.save(folder / "classifier.keras")
    checkpoints.save_network(folder / "classifier.h5", network, epoch=0)
    save_statistics(
        folder / "known.npz", statistics(OTHER.mean(axis=(1, 2)), {"network": "another"})
    )
    (folder / "cut.npz").write_bytes((folder / "known.npz").read_bytes()[:200])
    return folder


def test_a_folder_and_a_file_of_samples_get_the_same_scores(call, files):
    options = dict(reference=files / "others.npz", features=files / "classifier.keras", **FEW)
    first, printed, errors = call(samples=files / "ones", metrics="is,fid,kid,prdc", **options)
    names = {
        "classifier_score_mean",
        "classifier_score_std",
        "frechet_distance",
        "kernel_distance_mean",
        "kernel_distance_std",
        "precision",
        "recall",
        "f_score",
        "density",
        "coverage",
    }
    assert names < set(first) and not [name for name in first if "inception" in name]
    assert all(np.isfinite(first[name]) for name in names)
    assert (
        "classifier_score_mean" in printed
        and " ± " in printed
        and "_std " not in printed.split("features:")[0]
    )
    assert first["samples"] == str(files / "ones") and {"keras", "numpy"} <= set(first["versions"])
    protocol = first["protocol"]
    assert protocol["features"]["network"] == "a classifier, classifier.keras"
    assert len(protocol["features"]["weights_sha256"]) == 64
    assert protocol["samples"]["sizes"] == {"8 x 8": 24} and protocol["kid"]["subset_size"] == 10
    second, *_ = call(
        samples=files / "ones.h5", key="output_128", metrics="is,fid,kid,prdc", **options
    )
    assert {name: second[name] for name in names} == {name: first[name] for name in names}
    own = call(samples=files / "ones.h5", **options | {"features": files / "classifier.h5"})[0]
    assert own["frechet_distance"] == pytest.approx(first["frechet_distance"], rel=1e-5)


def test_statistics_are_saved_and_compared_with(call, files, tmp_path):
    path, features = tmp_path / "others.npz", {"features": files / "classifier.keras"}
    kept, printed, _ = call(samples=files / "others.npz", save_statistics=path, **features)
    assert (
        load_statistics(path).count == 24
        and f"in {path}" in printed
        and "frechet_distance" not in kept
    )
    found, *_ = call(samples=files / "ones", reference=path, metrics="fid", **features)
    both, *_ = call(
        samples=files / "ones", reference=files / "others.npz", metrics="fid", **features
    )
    assert found["frechet_distance"] == pytest.approx(both["frechet_distance"], rel=1e-9)
    assert found["protocol"]["reference"] == {"statistics": True, "count": 24}
    found, _, errors = call(
        samples=files / "ones", reference=path, metrics="fid", features=files / "classifier.h5"
    )
    assert found is None and "of one protocol" in errors


class Fake:
    """Replacement of Inception: mean colors."""

    def __init__(self, weights=None, resize=None):
        self.protocol, self.file_sha256 = (
            {"network": "Inception-2015-12-05", "weights": weights},
            "5ha",
        )

    def __call__(self, images):
        return images.mean(axis=(1, 2)).astype("float32"), images[:, 0, 0].astype("float32")


def test_names_cache_and_warnings_of_inception(call, files, tmp_path, monkeypatch):
    monkeypatch.setattr(inception, "Inception", Fake)
    options = dict(
        samples=files / "ones",
        reference=files / "ones.h5",
        inception="w.pth",
        cache=tmp_path / "cache",
    )
    found, *_ = call(metrics="is,fid,kid,prdc", **options, **FEW)
    assert {
        "inception_score_mean",
        "frechet_inception_distance",
        "kernel_inception_distance_std",
    } < set(found)
    assert found["frechet_inception_distance"] == pytest.approx(0, abs=1e-6)
    assert found["protocol"]["features"]["weights"] == "w.pth" and found["warnings"] == []
    assert found["protocol"]["weights_file_sha256"] == "5ha"
    assert len(list((tmp_path / "cache").iterdir())) == 2
    blue = np.stack([ONE[..., 0] // 2, ONE[..., 1], 255 - ONE[..., 2] // 2], axis=-1)
    np.savez(tmp_path / "rgb.npz", images=blue)
    np.savez(tmp_path / "bgr.npz", images=blue[..., ::-1])
    options |= dict(samples=tmp_path / "bgr.npz", reference=tmp_path / "rgb.npz")
    found, _, errors = call(metrics="fid", **options)
    assert "the samples look like BGR" in found["warnings"][0] and errors.startswith(
        "warning: the samples look"
    )
    call(
        samples=tmp_path / "rgb.npz",
        save_statistics=tmp_path / "rgb_statistics.npz",
        inception="w.pth",
    )
    found, *_ = call(metrics="fid", **options | dict(reference=tmp_path / "rgb_statistics.npz"))
    assert "the samples look like BGR" in " ".join(found["warnings"])


def test_features_of_dinov2_and_clip_presets(call, files, tmp_path):
    pytest.importorskip("keras_hub")
    write = {"dinov2": tiny_hub.write_dinov2, "clip": tiny_hub.write_clip}
    for kind, network in (("dinov2", "DINOv2"), ("clip", "CLIP")):
        folder = write[kind](tmp_path / kind)
        options = dict(samples=files / "ones", reference=files / "others.npz", **FEW)
        found, _, errors = call(
            features=f"{kind}:{folder}", metrics="fid,kid", resize="clean", **options
        )
        assert {"frechet_distance", "kernel_distance_mean"} < set(found), errors
        about = found["protocol"]["features"]
        assert about["network"].startswith("unknown weights ") and network in about["network"]
        assert about["resize"].startswith("clean, Pillow bicubic")
        assert f"no score is named after {network}" in " ".join(found["warnings"])
        assert len(found["protocol"]["weights_file_sha256"]) == 64
        found, _, errors = call(features=f"{kind}:{folder}", metrics="is", **options)
        assert found is None and "is needs logits" in errors


def test_slim_features_have_stackgans_protocol(call, tmp_path, monkeypatch):
    monkeypatch.setattr("kerasgan.metrics.features.slim_inception.SlimInception", Fake)
    np.savez(tmp_path / "many.npz", images=RANDOM.integers(0, 256, (70, 4, 4, 3), "uint8"))
    options = dict(
        samples=tmp_path / "many.npz", features="slim", inception="model.ckpt", metrics="is"
    )
    protocol = call(**options)[0]["protocol"]["is"]
    assert (protocol["count"], protocol["shuffle_seed"], protocol["remainder_dropped_of"]) == (
        64,
        0,
        64,
    )
    protocol = call(drop_remainder=1, shuffle_seed=3, **options)[0]["protocol"]["is"]
    assert (protocol["count"], protocol["shuffle_seed"], protocol["remainder_dropped_of"]) == (
        70,
        3,
        1,
    )
    found, _, errors = call(count=60, **options)
    assert (
        found is None
        and "number of samples, 60 (0 in complete batches of 64); received 10" in errors
    )


def test_ms_ssim_alone_needs_no_network(call, tmp_path):
    np.savez(tmp_path / "a.npz", images=RANDOM.integers(0, 256, (5, 12, 12, 3), "uint8"))
    found, *_ = call(samples=tmp_path / "a.npz", metrics="ms_ssim", scales=1, pairs=4)
    assert 0 <= found["ms_ssim"] < 1 and found["protocol"]["features"] == {"network": "none"}
    found, _, errors = call(samples=tmp_path / "a.npz", metrics="ms_ssim")
    assert found is None and "sides of at least 176 pixels for 5 scales; received 12 x 12" in errors


def test_a_checkpoint_of_digits_by_the_digit_classifier(call, tmp_path):
    gan = mnist_gan.MnistGAN(mnist_gan.build_generator(latent_dim=4, width=2), seed=0)
    path = tmp_path / checkpoints.file_name("mnist_gan", "digits", 28, "G", 3)
    checkpoints.save_network(path, gan.generator, model=gan, epoch=3)
    digits = evaluation_images.source("digits", 30, convert=True)
    np.savez(tmp_path / "digits.npz", images=np.concatenate([*digits]))
    options = dict(
        reference=tmp_path / "digits.npz", features="digit_classifier", metrics="is,fid", splits=2
    )
    found, *_ = call(checkpoint=path, samples="20", cache=tmp_path / "cache", **options)
    about = found["protocol"]["samples"]
    assert about["count"] == 20 and "inference mode, latents of seed 1" in about["source"]
    assert checkpoints.read_info(path)["sha256"] in about["source"]
    again, *_ = call(samples=path, count=20, **options)
    assert again["frechet_distance"] == pytest.approx(found["frechet_distance"], rel=1e-6)
    other, *_ = call(samples=path, count=20, seed=2, **options)
    assert other["frechet_distance"] != found["frechet_distance"]


def test_a_checkpoint_of_captions_uses_the_captions_of_the_test_data(tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    gan = hdgan.HDGAN(hdgan.build_generator((64,), 2), {64: hdgan.build_discriminator(64, 2)})
    path = tmp_path / checkpoints.file_name("birds_64", "synthetic_birds", 64, "G", 1)
    info = {"data": "synthetic_birds", "text_encoder": "an encoder"}
    checkpoints.save_network(path, gan.generator, model=gan, epoch=1, info=info)
    embeddings = (
        np.random.default_rng(0)
        .normal(size=(3, 2, gan.generator.inputs[0].shape[-1]))
        .astype("float32")
    )
    requested = []

    def load(*given, in_memory):
        requested.append((*given, in_memory))
        return types.SimpleNamespace(embeddings=embeddings)

    monkeypatch.setattr(text_gan, "load", load)
    source = evaluation_images.source(path, 8)
    batches = [*source.batches(5)]
    assert [batch.shape for batch in batches] == [(5, 64, 64, 3), (3, 64, 64, 3)]
    assert (
        "captions of synthetic_birds by an encoder" in source.name
        and source.fingerprint() is not None
    )
    np.testing.assert_array_equal(np.concatenate([*source.batches(8)]), np.concatenate(batches))
    # Another encoder at the same path gives another source. COCO uses the embeddings of its split
    # val
    embeddings += 1
    assert evaluation_images.source(path, 8).fingerprint() != source.fingerprint()
    checkpoints.save_network(
        path, gan.generator, model=gan, epoch=1, info={"data": "coco", "text_encoder": ""}
    )
    assert (
        "captions of coco by embeddings of its own"
        in evaluation_images.source(path, 8, data_dir="data").name
    )
    assert requested[0][:2] == ("synthetic_birds", "test") and requested[-1] == (
        "coco",
        "val",
        "data",
        1000,
        64,
        "",
        False,
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "--samples must name images, or --checkpoint a file or a preset"),
        (
            {"checkpoint": "mnist_gan_digits", "samples": "photos"},
            "--samples must be a number from 2 to 10000000 if --checkpoint",
        ),
        (
            {"samples": "nowhere", "metrics": "is"},
            "an existing folder or .npz, .npy, .h5, .hdf5 file",
        ),
        (
            {"samples": "ones", "metrics": "fid"},
            "fid compares the samples with a reference; received none",
        ),
        (
            {"samples": "ones", "metrics": "lpips"},
            "metrics must be of is, fid, kid, prdc, ms_ssim; received lpips",
        ),
        (
            {"samples": "ones", "reference": "others.npz", "metrics": "kid"},
            "subset_size of kid must be between 2 and the smaller number of images, 24",
        ),
        (
            {"samples": "ones", "features": "vgg"},
            "--features must be inception, dinov2, clip, slim, digit_classifier, bird_attribute_",
        ),
        ({"samples": "ones", "features": "slim"}, "--features=slim needs --inception=PREFIX"),
        (
            {"samples": "ones", "features": "digit_classifier", "resize": "clean"},
            "--resize is for --features=inception, dinov2 and clip; received digit_classifier",
        ),
        (
            {"samples": "ones", "features": "dinov2", "inception": "w.pth"},
            "--inception is for --features=inception and slim; received dinov2",
        ),
        (
            {"samples": "ones", "features": "digit_classifier", "splits": 2},
            "The classifier needs images of 28 x 28",
        ),
        ({"samples": "classifier.h5"}, "contains no configuration of a model"),
        (
            {"samples": str(presets.find("synthetic_birds_text") / "T.h5")},
            "also needs the file G.h5",
        ),
        ({"samples": "ones", "reference": "cut.npz", "metrics": "fid"}, "cut.npz"),
        (
            {"samples": "ones", "reference": "known.npz", "metrics": "prdc"},
            "prdc needs the features of the reference images",
        ),
        (
            {
                "samples": "ones",
                "features": "bird_attribute_classifier",
                "metrics": "is",
                "splits": 2,
            },
            "is needs logits",
        ),
        (
            {"checkpoint": "mnist_gan_digits", "count": 5},
            "--count needs --metrics or --features",
        ),
        (
            {"samples": "ones", "save_statistics": "a.npy"},
            r"--save_statistics must be a file *.npz in a folder",
        ),
        ({"samples": "ones", "out": "no/such/a.json"}, "--out must be in a folder that exists"),
    ],
)
def test_bad_input_is_one_line(call, files, monkeypatch, values, message):
    monkeypatch.chdir(files)
    monkeypatch.setattr(inception, "Inception", Fake)
    found, _, errors = call(**values)
    assert found is None and errors.startswith("error: ") and errors.count("\n") == 1
    assert message in errors
