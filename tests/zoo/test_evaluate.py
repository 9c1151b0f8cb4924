"""`python -m zoo.evaluate` on images: inputs, names of scores, protocol, errors in one line."""

import json
import sys
import types

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

from kerasgan.io import checkpoints, presets
from kerasgan.metrics.classification_accuracy import gan_test
from kerasgan.metrics.features import inception
from kerasgan.metrics.frechet import load_statistics, save_statistics, statistics
from kerasgan.models import hdgan, mnist_gan
from kerasgan.models.classifier import build_classifier
from tests import tiny_hub
from zoo import comparison, evaluate, evaluation_images, evaluation_inputs, text_gan

RANDOM = np.random.default_rng(0)
ONE, OTHER = RANDOM.integers(0, 256, (2, 24, 8, 8, 3), "uint8")
FEW = {"splits": 2, "subset_size": 10, "subsets": 3}


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
    adapted, _, errors = call(samples=tmp_path / "a.npz", metrics="ms_ssim", pairs=4)
    assert adapted["ms_ssim"] == found["ms_ssim"] and "note: 1 scales of ms_ssim" in errors
    found, _, errors = call(samples=tmp_path / "a.npz", metrics="ms_ssim", scales=5)
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
            "gan_train, gan_test; received lpips",
        ),
        (
            {"samples": "ones", "reference": "others.npz", "metrics": "kid", "subset_size": 25},
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
        ({"samples": "ones", "resamples": 5}, "--resamples must be 0 or at least 10; received 5"),
        ({"samples": "ones", "leaderboard": "a.json"}, "--leaderboard must be a file *.jsonl in a"),
        ({"checkpoint": ["nothing/*"]}, "--checkpoint must match files ..._epoch_n.h5; received"),
        (
            {"samples": "ones", "reference": "known.npz", "metrics": "sfid"},
            "sfid needs reference images; received statistics or features",
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


# === Several checkpoints, pages and leaderboards ===


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Three epochs of a small GAN of digits, as a run saves them."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    folder.mkdir()
    for epoch in (1, 2, 10):
        gan = mnist_gan.MnistGAN(mnist_gan.build_generator(latent_dim=4, width=2), seed=epoch)
        for letter, network in (("G", gan.generator), ("D", gan.discriminator)):
            name = checkpoints.file_name("mnist_gan", "digits", 28, letter, epoch)
            checkpoints.save_network(folder / name, network, model=gan, epoch=epoch)
    (folder / checkpoints.file_name("mnist_gan", "digits", 28, "resume", 10)).write_bytes(b"x")
    (folder / "best.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def some_digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, images=np.concatenate([*evaluation_images.source("digits", 40, convert=True)]))
    return path


def test_a_pattern_stands_for_the_generator_of_each_epoch(run_folder):
    found = comparison.expand([f"{run_folder}/*", "mnist_gan_digits"])
    names = [checkpoints.file_name("mnist_gan", "digits", 28, "G", epoch) for epoch in (1, 2, 10)]
    assert found == [*(str(run_folder / name) for name in names), "mnist_gan_digits"]
    assert comparison.expand([found[0], f"{run_folder}/*epoch_1.h5"]) == found[:1]
    with pytest.raises(ValueError, match=r"must match files \.\.\._epoch_n\.h5; received .*\.png"):
        comparison.expand([f"{run_folder}/*.png"])


def test_all_epochs_of_a_run_in_one_table_page_and_leaderboard(
    call, run_folder, some_digits, tmp_path
):
    board, page = tmp_path / "board.jsonl", tmp_path / "page"
    options = dict(
        checkpoint=[f"{run_folder}/*"],
        samples="30",
        reference=some_digits,
        features="digit_classifier",
        metrics="fid,cmmd,prdc,kid",
        resamples=10,
        leaderboard=board,
    )
    found, printed, errors = call(report=page, **options)
    results = found["results"]
    assert len(results) == 3 and "epoch_2.h5" in results[1]["checkpoint"]
    lines = printed.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("result "))
    assert "frechet_distance ↓" in lines[start] and "gaussian_kernel_distance ↓" in lines[start]
    order = [line.split()[0] for line in lines[start + 1 : start + 4]]
    values = {each["checkpoint"]: each["frechet_distance"] for each in results}
    assert order == sorted(values, key=values.get)
    assert lines[start + 1].count("*") >= 1 and "[" in lines[start + 1]
    assert "10 resamples, seed 2020, of the samples with repetition" in printed
    assert "30 images per subset of kid instead of 1,000" in errors
    text = (page / "index.html").read_text()
    assert text.count("<svg") >= 2 and "epoch_10.h5" in text and "http" not in text
    entries, notes = comparison.read(board)
    assert [each["epoch"] for each in entries] == [1, 2, 10] and notes == []
    assert (
        entries[0]["scores"]["recall"] == results[0]["recall"] and entries[0]["intervals"]["recall"]
    )
    assert "--leaderboard" not in entries[0]["command"]
    call(**options | {"checkpoint": [str(run_folder / "mnist_gan_digits_28_G_epoch_1.h5")]})
    entries, _ = comparison.read(board)
    assert len(entries) == 4 and entries[3]["scores"] == entries[0]["scores"]
    assert "4 results, 1 measurement protocol." in (tmp_path / "board.html").read_text()


def test_the_table_can_be_sorted_by_any_score(call, run_folder, some_digits):
    options = dict(
        checkpoint=[f"{run_folder}/*"],
        samples="30",
        reference=some_digits,
        features="digit_classifier",
        metrics="fid,vendi",
        resamples=0,
    )
    found, printed, _ = call(sort="vendi", **options)
    values = {each["checkpoint"]: each["vendi"] for each in found["results"]}
    best = max(values, key=values.get)
    row = next(line for line in printed.splitlines() if line.startswith(str(best)))
    assert printed.splitlines().index(row) == 1 + next(
        i for i, line in enumerate(printed.splitlines()) if line.startswith("result ")
    )
    assert "[" not in row and "sorted by vendi, best first" in printed
    found, _, errors = call(sort="speed", **options)
    assert found is None and "sorted by frechet_distance, vendi; received speed" in errors


def test_damaged_lines_of_a_leaderboard_are_left_out(tmp_path):
    path = tmp_path / "board.jsonl"
    good = comparison.record("a", {"fid": 1.0, "protocol": {}}, "command", 1)
    others = ['{"name": "x"', "[]", '{"name": "x", "scores": {"a": "b"}}', '{"scores": {}}']
    path.write_text("\n".join([json.dumps(good), *others]))  # No line end, as after a crash.
    page = comparison.append(path, [good | {"name": "b"}])
    entries, notes = comparison.read(path)
    assert [each["name"] for each in entries] == ["a", "b"] and len(notes) == 4
    assert "Line 2 is left out" in page.read_text()


class FakeClip:
    """A pair whose embeddings of image and caption agree in the first letter of the caption."""

    protocol = {"network": "a CLIP of the tests"}

    def images(self, images):
        return np.stack([images[:, 0, 0, 0] > 127, images[:, 0, 0, 0] <= 127], axis=1) + 0.0

    def texts(self, captions):
        return np.array([[text[0] == "w", text[0] == "b"] for text in captions]) + 0.0


def test_clip_score_of_images_with_captions(call, tmp_path, monkeypatch):
    monkeypatch.setattr(
        evaluation_inputs, "clip", types.SimpleNamespace(load_clip=lambda name: FakeClip())
    )
    images = np.repeat(np.array([255, 0, 255, 0], "uint8"), 8 * 8 * 3).reshape(4, 8, 8, 3)
    np.savez(tmp_path / "a.npz", images=images)
    (tmp_path / "captions.txt").write_text("white\nblack\nblack\nblack\n", "utf-8")
    options = dict(samples=tmp_path / "a.npz", captions=tmp_path / "captions.txt", clip="a")
    found, *_ = call(metrics="clip_score,r_precision", **options)
    assert found["clip_score_mean"] == pytest.approx(75)
    assert found["protocol"]["clip_score"] == {"encoders": FakeClip.protocol}
    assert found["protocol"]["r_precision"]["candidates"] == 4
    (tmp_path / "captions.txt").write_text("white\nblack\n", "utf-8")
    found, _, errors = call(metrics="clip_score", **options)
    assert found is None and "a caption per line for each of 4 images; received 2" in errors
    for missing, words in (("clip", "need --clip"), ("captions", "need --captions")):
        found, _, errors = call(metrics="clip_score", **options | {missing: None})
        assert found is None and words in errors and errors.count("\n") == 1


def test_captions_of_a_checkpoint_are_those_it_generates_from():
    texts = [[f"{image} {number}" for number in range(3)] for image in range(4)]
    rows = evaluation_images._used_captions(np.arange(12), 4, 3)
    used = [texts[image][number] for image, number in zip(*rows, strict=True)]
    assert used[:5] == ["0 0", "1 1", "2 2", "3 0", "0 1"] and len(set(used)) == 12


def test_gan_train_and_gan_test_of_digits(call, run_folder, monkeypatch):
    trained = []

    def train(settings, data):
        trained.append((settings.epochs, *(np.shape(part) for part in data)))
        return build_classifier(width=2, features=4)

    monkeypatch.setattr(evaluation_inputs.digit_classifier, "trained", train)
    path = run_folder / "mnist_gan_digits_28_G_epoch_1.h5"
    options = dict(checkpoint=[path], samples="50", metrics="gan_train,gan_test")
    found, *_ = call(classifier_epochs=3, **options)
    assert 0 <= found["gan_train"] <= 1 and 0 <= found["gan_test"] <= 1
    assert trained == [(3, (50, 28, 28, 1), (50,))]
    assert found["protocol"]["gan_test"]["training_images"] == 4000
    assert found["protocol"]["gan_train"]["test_images"] == 1000
    found, _, errors = call(samples=path, count=50, metrics="gan_test")
    assert found is None and "need a checkpoint of digits with labels" in errors


def test_generated_digits_have_the_labels_of_gan_test():
    """GAN-test of a shipped preset is its label accuracy."""
    data = evaluation_inputs.classification("mnist_gan_digits", 500, 0, 1)
    images = np.concatenate([*evaluation_images.source("mnist_gan_digits", 500, convert=True)])
    found = gan_test(data.fit, data.real_train, (images, data.labels))
    assert found > 0.9
    assert gan_test(data.fit, data.real_train, data.real_test) == pytest.approx(0.988, abs=0.002)


def test_too_few_digits_name_the_flag(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["evaluate", "--checkpoint=mnist_gan_digits", "--samples=500"])
    with pytest.raises(SystemExit):
        evaluate.main()
    assert "--samples must be at least 1,000 for digits, 100 of each class; received 500" in (
        capsys.readouterr().err
    )
