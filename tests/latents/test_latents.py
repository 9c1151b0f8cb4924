"""`kerasgan.latents`: interpolation, inversion, directions and animations."""

import stat
import sys

import numpy as np
import pytest
from PIL import Image

from kerasgan.latents import (
    animation,
    edit,
    find_directions,
    interpolate,
    invert,
    save_animation,
    spherical,
)
from kerasgan.latents.interpolation import linear, nearest, path
from tests.marks import slow_on_jax
from tests.models.test_text_to_image import hierarchical, projected, small_text_encoder
from tests.test_whole_models import (
    conditional,
    cooperative,
    coupling_flow,
    explainer,
    style,
    training_notes,
    variational,
)


def style_classes():
    return style(2)


def captioned():
    return projected(text_encoder=small_text_encoder())


# === Interpolation ===


def test_spherical_interpolation_follows_the_great_circle():
    a, b = np.array([2.0, 0.0]), np.array([0.0, 2.0])
    middle = spherical(a, b, 0.5)
    np.testing.assert_allclose(middle, np.sqrt([2.0, 2.0]), atol=1e-6)
    assert middle.dtype == np.float32
    np.testing.assert_allclose(spherical(a, b, 0.0), a, atol=1e-6)
    np.testing.assert_allclose(spherical(a, 2 * b, 1.0), 2 * b, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(spherical(a, 2 * b, 0.5)), 3.0, atol=1e-6)
    np.testing.assert_allclose(spherical(a, 3 * a, 0.5), 2 * a, atol=1e-6)  # parallel
    assert np.isfinite(spherical(a, -a, 0.5)).all()
    random = np.random.default_rng(0).standard_normal((2, 100, 64))
    lengths = np.linalg.norm(spherical(*random, 0.5), axis=1)
    assert lengths.min() > 6 > np.linalg.norm(linear(*random, 0.5), axis=1).mean()


def test_paths_pass_through_their_key_points():
    points = np.random.default_rng(1).standard_normal((3, 5)).astype("float32")
    for loop, count in ((False, 9), (True, 12)):
        made = path(points, 4, spherical, loop=loop)
        assert len(made) == len(nearest(np.arange(3), 4, loop=loop)) == count
        np.testing.assert_allclose(made[::4][:3], points, atol=1e-5)
    assert path(points[:1], 7).shape == (1, 5)
    np.testing.assert_array_equal(nearest(np.array([7, 9]), 4, loop=True), [7, 7, 9, 9, 9, 9, 7, 7])


@slow_on_jax
@pytest.mark.backend
@pytest.mark.parametrize("make", [conditional, style_classes, cooperative, captioned])
def test_interpolation_of_every_kind_of_model(make):
    model = make()
    given = {"labels": {"labels": [0, 1]}, "captions": {"captions": ["a bird", "a red bird"]}}
    options = given.get(model.conditioning, {})
    if make is cooperative:
        options = {"statistics": "running"}
    frames = interpolate(model, 2, 3, seed=4, **options)
    assert len(frames) == 6 and frames.shape[1:] == model.data_spec().parts[0].shape
    straight = interpolate(model, 2, 3, seed=4, loop=False, **options)
    assert len(straight) == 4
    np.testing.assert_allclose(straight, frames[:4], atol=1e-5)
    latents = model.random_latents(2, 4)
    same = interpolate(model, latents, 3, seed=4, **options)
    np.testing.assert_allclose(same, frames, atol=1e-6)


def test_labels_of_stylegan2_blend_and_those_of_others_switch():
    model = style_classes()
    one = interpolate(model, 1, 4, labels=[0, 1], loop=False, seed=0)
    conditions = path(np.eye(2), 4, linear)
    noise = np.random.default_rng(0).random((1, 8, 8, 1), "float32")
    latents = np.repeat(model.random_latents(2, 0), [1, 0], axis=0)
    points = path(model.random_latents(2, 0), 4, spherical)
    expected = model.sample(latents=points, conditions=conditions, noise=noise)
    np.testing.assert_allclose(one, expected, atol=1e-5)
    w = interpolate(model, latents, 4, labels=[0, 1], space="w", truncation=0.5)
    assert w.shape == (8, 8, 8, 1)
    frames = interpolate(conditional(), conditional().random_latents(1, 0), 4, labels=[0, 2])
    for same in (frames[:2], frames[2:6], frames[6:]):
        np.testing.assert_allclose(same, same[:1].repeat(len(same), 0), atol=1e-6)
    assert not np.allclose(frames[1], frames[2])


def test_wrong_interpolations_give_one_line():
    for call, rule in [
        (
            lambda: interpolate(conditional(), space="w"),
            "space='w' and truncation need a StyleGAN2",
        ),
        (lambda: interpolate(conditional(), truncation=0.5), "need a StyleGAN2 or StylEx, other"),
        (lambda: interpolate(style(), labels=[0]), "takes no conditions; received labels"),
        (lambda: interpolate(captioned()), "takes captions or embeddings; received none"),
        (lambda: interpolate(conditional(), np.zeros((3, 4)), labels=[0, 1]), "labels must be 1"),
        (lambda: interpolate(conditional(), labels=[9]), "labels"),
    ]:
        with pytest.raises(ValueError, match=rule) as raised:
            call()
        assert "\n" not in str(raised.value)


# === Animations ===

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 9, 11, 3), "uint8")


@pytest.mark.parametrize("name", ["x.gif", "x.webp"])
@pytest.mark.parametrize("frames", [FRAMES, FRAMES[..., :1]])
def test_animations_hold_their_frames(name, frames, tmp_path):
    save_animation(tmp_path / name, frames, fps=10)
    with Image.open(tmp_path / name) as image:
        assert image.n_frames == 4 and image.size == (11, 9)
        image.seek(2)
        shown = np.asarray(image.convert("RGB"))
        if name == "x.webp":
            np.testing.assert_array_equal(shown, np.broadcast_to(frames[2], shown.shape))
        image.load()
        assert image.info["duration"] == 100


def test_mp4_is_encoded_by_ffmpeg(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "data = sys.stdin.buffer.read()\n"
        "open(sys.argv[-1], 'wb').write(b'%d ' % len(data) + ' '.join(sys.argv).encode())\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(tmp_path))
    save_animation(tmp_path / "x.mp4", FRAMES, fps=12.5)
    written = (tmp_path / "x.mp4").read_text()
    assert written.startswith(f"{4 * 10 * 12 * 3} ")  # padded to even sides
    assert "-video_size 12x10 -framerate 12.5" in written
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no encoder')\n")
    with pytest.raises(ValueError, match="ffmpeg could not encode the animation: no encoder"):
        save_animation(tmp_path / "y.mp4", FRAMES)
    monkeypatch.setattr(animation.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="needs the program ffmpeg"):
        save_animation(tmp_path / "y.mp4", FRAMES)
    assert not (tmp_path / "y.mp4").exists()


@pytest.mark.parametrize(
    ("name", "frames", "fps", "rule"),
    [
        ("x.avi", FRAMES, 20, "must end in .gif, .webp, .mp4"),
        ("x.gif", FRAMES[:0], 20, "at least one image"),
        ("x.gif", FRAMES, 0, "fps must be between"),
    ],
)
def test_wrong_animations_give_one_line(name, frames, fps, rule, tmp_path):
    with pytest.raises(ValueError, match=rule):
        save_animation(tmp_path / name, frames, fps)
    assert not list(tmp_path.iterdir())


# === Inversion ===


@pytest.mark.backend
@pytest.mark.parametrize("make", [conditional, style, variational])
def test_inversion_finds_generated_images(make):
    model = make()
    options = {"labels": [0, 2]} if model.conditioning == "labels" else {}
    hidden = model.sample(latents=model.random_latents(2, 3), seed=0, **options)
    found = invert(
        model, hidden, steps=60, learning_rate=0.1, candidates=2, prior_weight=0.0, **options
    )
    assert (found.errors["pixel"] < found.start_errors["pixel"]).all()
    assert found.history.shape == (60,) and found.history[-1] < found.history[0]
    np.testing.assert_allclose(model.sample(**found.inputs), found.images, atol=1e-5)
    squares = np.square(found.images - hidden).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found.errors["pixel"], squares, rtol=1e-3, atol=1e-7)
    assert "feature" not in found.errors  # no shipped classifier fits these images


@pytest.mark.parametrize("space", ["z", "w", "w+"])
def test_spaces_starts_and_noise_of_stylex(space):
    model = explainer()
    images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 1)).astype("float32")
    classifier = dict(feature_weight=0.0)
    for start in ("random", "mean", *(["encoder"] if space != "z" else [])):
        found = invert(
            model, images, space=space, start=start, steps=3, optimize_noise=True, **classifier
        )
        name = "latents" if space == "z" else "w"
        shape = (2, 2, 3) if space == "w+" else (2, 3)
        assert found.inputs[name].shape == shape and found.inputs["conditions"].shape == (2, 2)
        assert found.inputs["noise"].min() >= 0 and found.inputs["noise"].max() <= 1
        np.testing.assert_allclose(model.sample(**found.inputs), found.images, atol=1e-5)
    if space == "w":
        start = invert(model, images, space=space, start="encoder", steps=0, **classifier)
        np.testing.assert_allclose(start.inputs["w"], model.encode(images), atol=1e-6)


def test_hidden_pixels_do_not_count():
    model = conditional()
    hidden = model.sample(latents=model.random_latents(1, 3), labels=[1])
    mask = np.ones((8, 8, 1))
    mask[4:] = 0
    changed = np.where(mask == 1, hidden, -1.0).astype("float32")
    options = {"labels": [1], "mask": mask, "steps": 5}
    one, other = invert(model, hidden, **options), invert(model, changed, **options)
    np.testing.assert_allclose(one.images, other.images, atol=1e-5)
    squares = np.square(one.images - hidden)[:, :4].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(one.errors["pixel"], squares, rtol=1e-3)


def test_wrong_inversions_give_one_line():
    images = np.zeros((2, 8, 8, 1), "float32")
    gan = conditional()
    for call, rule in [
        (lambda: invert(gan, images), "takes labels; received none"),
        (lambda: invert(gan, images, labels=[0]), "labels must have 2 entries"),
        (lambda: invert(gan, images, labels=[0, 1], space="w"), "space of a ConditionalGAN must"),
        (lambda: invert(gan, images, labels=[0, 1], start="encoder"), "must be one of random, me"),
        (lambda: invert(gan, images, labels=[0, 1], optimize_noise=True), "optimize_noise needs"),
        (lambda: invert(gan, images[:, :4], labels=[0, 1]), "images must be"),
        (lambda: invert(gan, images, labels=[0, 1], mask=np.zeros((8, 8, 1))), "mask must be 0"),
        (lambda: invert(style(), images, labels=[0, 1]), "takes no conditions; received labels"),
        (lambda: invert(style(), images, start="posterior"), "must be one of random, mean;"),
    ]:
        with pytest.raises(ValueError, match=rule) as raised:
            call()
        assert "\n" not in str(raised.value)


# === Directions ===


@slow_on_jax
@pytest.mark.backend
@pytest.mark.parametrize(
    "make", [conditional, training_notes, variational, cooperative, hierarchical, projected, style]
)
def test_directions_are_orthogonal_and_the_first_one_is_strongest(make):
    model = make()
    found = find_directions(model, 3)
    count = min(3, model.latent_dim)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(count), atol=1e-5)
    assert (np.diff(found.strengths) <= 0).all() and found.strengths[0] > 0
    assert found.space == ("w" if make is style else "z")


def test_directions_of_a_known_layer():
    model = conditional()
    dense = next(layer for layer in model.ema_generator.layers if hasattr(layer, "kernel"))
    kernel = np.zeros(dense.kernel.shape, "float32")
    kernel[2, 0], kernel[0, 1], kernel[5, 2] = 3.0, 1.0, 9.0  # row 5 belongs to the labels
    dense.kernel.assign(kernel)
    found = find_directions(model, 2)
    np.testing.assert_allclose(np.abs(found.vectors), np.eye(4)[[2, 0]], atol=1e-6)
    np.testing.assert_allclose(found.strengths, [3.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("make", [conditional, style_classes, cooperative, captioned])
def test_edits_move_one_image(make):
    model = make()
    options = {"labels": {"labels": [1]}, "captions": {"captions": ["a bird"]}}
    options = options.get(model.conditioning, {})
    if make is cooperative:
        options = {"statistics": "running"}
    found = find_directions(model, 2)
    images = edit(model, found, [-2.0, 0.0, 2.0], seed=3, **options)
    assert images.shape[:2] == (2, 3)
    np.testing.assert_allclose(images[0, 1], images[1, 1], atol=1e-5)  # strength 0
    assert not np.allclose(images[0, 0], images[0, 1])
    if model.conditioning == "labels":
        same = edit(model, found, [0.0], latents=model.random_latents(1, 3), seed=3, labels=[1])
        np.testing.assert_allclose(same[0, 0], images[0, 1], atol=1e-5)


def test_edits_of_some_blocks():
    model = style()
    found = find_directions(model, 1, blocks=[0])
    whole, part = (edit(model, found, [1.0], blocks=blocks) for blocks in (None, [0]))
    assert not np.allclose(whole, part)
    for blocks in ([2], [-1], []):
        with pytest.raises(ValueError, match="blocks must be from 0 to 1"):
            find_directions(model, 1, blocks=blocks)
    with pytest.raises(ValueError, match="blocks need StyleGAN2 or StylEx"):
        find_directions(conditional(), 1, blocks=[0])
    with pytest.raises(ValueError, match="no first layer that is linear in the latents"):
        find_directions(coupling_flow())
