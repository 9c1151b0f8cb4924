"""Tests of AttFind: effects against brute force, selectors on known effects, known classifiers."""

import dataclasses
import functools
import types

import keras
import numpy as np
import pytest
from keras import ops

from kerasgan.models import attfind, style_probe
from kerasgan.models.attfind import (
    REPRODUCTION,
    Attributes,
    counterfactual,
    independent,
    merge,
    select_by_count,
    select_by_effect,
    subset,
    sufficiency,
)
from kerasgan.models.style_probe import Effects, StyleProbe
from kerasgan.models.stylegan2 import Generator, build_discriminator
from kerasgan.sampling import SamplingInterface

RNG = np.random.default_rng(0)


class FakeModel(types.SimpleNamespace):
    """The attributes of a StylEx that `StyleProbe` reads."""

    sampling_generator = SamplingInterface.sampling_generator


def array(x):
    return np.array(ops.convert_to_numpy(x))


def known_weights(network, seed=5):
    random = np.random.default_rng(seed)
    for variable in network.variables:
        variable.assign(random.normal(0, 0.5, variable.shape).astype("float32"))
    return network


# === A small generator ===


@pytest.fixture(scope="module")
def tiny():
    """Model with layers of 4, 4, 4 and 2 style coordinates, five images, and a compiled probe."""
    generator = known_weights(
        Generator(8, 1, latent_dim=3, depth=1, conditions=2, capacity=1, max_channels=4)
    )
    images = keras.Input((8, 8, 1))
    hidden = keras.layers.Dense(4, activation="tanh")(keras.layers.Flatten()(images))
    classifier = known_weights(keras.Model(images, keras.layers.Dense(2)(hidden)), 6)
    matrix = RNG.normal(0, 0.5, (64, 10)).astype("float32")

    def styles(images):
        w = (images.reshape(-1, 64) @ matrix).reshape(-1, 2, 5)
        return tuple(
            [array(x) for x in part] for part in generator.styles(ops.convert_to_tensor(w))
        )

    noise = RNG.random((1, 8, 8, 1)).astype("float32")
    model = FakeModel(
        generator=generator, ema_generator=None, classifier=classifier, noise=noise, styles=styles
    )
    return model, RNG.uniform(-1, 1, (5, 8, 8, 1)).astype("float32"), StyleProbe(model, 6, False)


def synthesized(model, styles, rgb_styles):
    """Images and logits of style vectors [N, J], computed by the whole generator."""
    count = len(styles)
    vectors = np.split(styles, np.cumsum(model.generator.style_sizes)[:-1], axis=1)
    noise = np.repeat(model.noise, count, axis=0)
    with_tensors = [[ops.convert_to_tensor(x) for x in part] for part in (vectors, rgb_styles)]
    images = np.clip(
        array(model.generator.synthesize(*with_tensors, ops.convert_to_tensor(noise))), -1, 1
    )
    return images, array(model.classifier(images))


@pytest.mark.backend
def test_effects_equal_those_of_the_whole_generator(tiny):
    model, images, probe = tiny
    found = style_probe.effects(probe, images)
    styles, rgb_styles = model.styles(images)
    styles = np.concatenate(styles, axis=1)
    count, coordinates = styles.shape
    assert coordinates == sum(model.generator.style_sizes) == 14
    bounds = np.stack([styles.min(axis=0), styles.max(axis=0)])
    np.testing.assert_array_equal(found.bounds, bounds)
    edited = np.tile(styles[:, None, None], (1, 2, coordinates, 1))
    for direction in range(2):
        for j in range(coordinates):
            edited[:, direction, j, j] = bounds[direction, j]
    each = 2 * coordinates
    _, after = synthesized(
        model, edited.reshape(count * each, -1), [np.repeat(x, each, axis=0) for x in rgb_styles]
    )
    before = synthesized(model, styles, rgb_styles)[1]
    np.testing.assert_allclose(found.logits, before, atol=1e-5)
    expected = after.reshape(count, 2, coordinates, 2) - before[:, None, None]
    assert found.values.dtype == "float32" and np.abs(expected).max(axis=(0, 1, 3)).min() > 1e-4
    np.testing.assert_allclose(found.values, expected, atol=1e-5)


def test_batches_do_not_change_effects(tiny):
    model, images, probe = tiny
    one, other = (
        style_probe.effects(probe, images),
        style_probe.effects(model, images, batch_size=3, progress=False),
    )
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-5)


def test_edits_without_a_change_are_not_computed(tiny, monkeypatch):
    _, images, probe = tiny
    counts, edited_logits = [], probe.edited_logits
    monkeypatch.setattr(
        probe, "edited_logits", lambda *a, **b: counts.append(len(a[1])) or edited_logits(*a, **b)
    )
    style_probe.effects(probe, images)
    assert counts == [5 * 2 * 14 - 2 * 14]  # One image is already at each end.
    still = np.repeat(probe.encode(images[:1]).styles, 2, axis=0)
    found = style_probe.effects(probe, images[:1], bounds=still)
    assert counts[1] == 0 and not found.values.any() and found.values.shape == (1, 2, 14, 2)


def test_shift_size_and_probabilities(tiny):
    _, images, probe = tiny
    whole = style_probe.effects(probe, images)
    styles = probe.encode(images).styles
    nearer = styles[0] + 0.5 * (whole.bounds - styles[0])
    half = style_probe.effects(probe, images[:1], shift_size=0.5, bounds=whole.bounds)
    np.testing.assert_allclose(
        half.values, style_probe.effects(probe, images[:1], bounds=nearer).values, atol=1e-5
    )
    probabilities = style_probe.effects(probe, images, probabilities=True)
    e = np.exp(whole.logits[:, None, None] + whole.values)
    before = np.exp(whole.logits) / np.exp(whole.logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(
        probabilities.values, e / e.sum(axis=-1, keepdims=True) - before[:, None, None], atol=1e-5
    )
    np.testing.assert_allclose(
        probabilities.one_vs_rest(1).values[..., 1], probabilities.values[..., 0], atol=1e-5
    )


def test_the_moving_average_is_used(tiny):
    model, images, _ = tiny
    ema_generator = known_weights(Generator.from_config(model.generator.get_config()), 9)
    fields = vars(model) | {"ema_generator": ema_generator, "generator": None}
    model = FakeModel(**fields)
    reconstructions = StyleProbe(model).encode(images).images
    styles, rgb_styles = model.styles(images)
    noise = np.repeat(model.noise, 5, axis=0)
    expected = ema_generator.synthesize(
        *([ops.convert_to_tensor(x) for x in part] for part in (styles, rgb_styles)), noise
    )
    np.testing.assert_allclose(reconstructions, np.clip(array(expected), -1, 1), atol=1e-5)


def test_a_discriminator_excludes_images_and_coordinates(tiny):
    model, images, probe = tiny
    discriminator = build_discriminator(8, 1, conditions=2, capacity=1, max_channels=4, group=None)
    model.discriminator = known_weights(discriminator, 7)
    encoded = probe.encode(images)
    logits = probe.discriminator_logits(encoded.images)
    conditions = np.exp(encoded.logits) / np.exp(encoded.logits).sum(axis=1, keepdims=True)
    expected = array(model.discriminator([encoded.images, conditions]))[:, 0]
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    target = int(encoded.logits[logits.argmax()].argmax())
    assert 0 < (encoded.logits.argmax(axis=1) == target).sum() < 5
    with pytest.raises(
        ValueError, match=f"images left after filtering .* received 1, all predicted as {target}"
    ):
        attfind.attfind(probe, images, target, min_discriminator_logit=logits.max())
    with pytest.raises(ValueError, match="no style coordinate changes the classifier's output"):
        attfind.attfind(probe, images, max_discriminator_change=0.0)
    bounds = style_probe.effects(probe, images).bounds
    changes = []
    for j in range(14):
        for direction in range(2):
            styles = encoded.styles.copy()
            styles[:, j] += 2 * (bounds[direction, j] - styles[:, j])
            changes.append(
                np.abs(
                    probe.discriminator_logits(synthesized(model, styles, encoded.rgb_styles)[0])
                    - logits
                ).max()
            )
    changes = np.array(changes).reshape(14, 2).max(axis=1)
    most = np.sort(changes)[6:8].mean()
    np.testing.assert_array_equal(
        attfind._unrealistic(probe, encoded, bounds, most), changes > most
    )
    found = attfind.attfind(probe, images, max_discriminator_change=most)
    assert (changes[found.coordinates] <= most).all() and found.protocol[
        "max_discriminator_change"
    ] == most


# === Classifiers with known attributes ===


class Painter(keras.Model):
    """Generator with two layers of three coordinates, each the gray value of one column."""

    size, channels, style_names, style_sizes = 8, 1, ["left", "right"], [3, 3]

    def __init__(self):
        super().__init__()
        self.built = True

    def initial_state(self, count):
        return ops.zeros((count, 1, 1, 1)), ops.zeros((count, 8, 8, 1))

    def synthesis_step(self, state, index, styles, rgb_styles, noise):
        columns = np.eye(8, dtype="float32")[3 * index : 3 * index + 3]
        row = ops.matmul(styles[index], ops.convert_to_tensor(columns))  # [N, 8]
        return state[0], state[1] + row[:, None, :, None]

    def synthesize(self, styles, rgb_styles, noise, state=None, first=0):
        state = (
            self.initial_state(styles[first].shape[0] or ops.shape(styles[first])[0])
            if state is None
            else state
        )
        for index in range(first, 2):
            state = self.synthesis_step(state, index, styles, rgb_styles, noise)
        return state[1]


class Columns(keras.layers.Layer):
    """Maps images [N, 8, 8, 1] to logits by a function of the list of column gray values."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, images):
        return ops.stack(
            self.function(ops.unstack(ops.mean(images, axis=(1, 3)), 8, axis=1)), axis=1
        )


def painted(*rows):
    """Images with columns of the given gray values."""
    images = np.zeros((len(rows), 8, 8, 1), "float32")
    images[:, :, :6] = np.array(rows, "float32")[:, None, :, None]
    return images


def column_model(function):
    inputs = keras.Input((8, 8, 1))

    def styles(images):
        row = images[:, 0, :6, 0]
        return [row[:, :3], row[:, 3:]], [np.zeros((len(row), 1), "float32")]

    return FakeModel(
        generator=Painter(),
        ema_generator=None,
        classifier=keras.Model(inputs, Columns(function)(inputs)),
        styles=styles,
        noise=np.zeros((1, 8, 8, 1), "float32"),
    )


def find(model, images, target=0, **options):
    return attfind.attfind(StyleProbe(model, 4, False), images, target, **options)


# Columns 0 and 2 vary randomly, column 4 determines the class, 1, 3 and 5 are constant.
IMAGES = painted(
    [0.9, 0, 0, 0, 0.8, 0.1],
    [0, 0, 0.5, 0, -0.8, 0.1],
    [0.2, 0, 0.3, 0, 0.6, 0.1],
    [0.3, 0, -0.2, 0, -0.6, 0.1],
)


@pytest.mark.backend
def test_the_only_relevant_coordinate_is_found():
    model = column_model(lambda x: [2 * x[4], -2 * x[4]])
    found = find(model, IMAGES)
    assert found.coordinates.tolist() == [4] and found.directions.tolist() == [1]
    assert found.locations() == [("right", 1)] and len(found) == 1
    # From -0.8 and -0.6 to 0.8, and from 0.8 and 0.6 to -0.8, with a factor of 2.
    np.testing.assert_allclose(found.effects, [[3.0, 3.0]], atol=1e-5)
    # Over all images the logit of the target rises by 3.2, 2.8, 0.4 and 0; that of the rest, too.
    np.testing.assert_allclose(found.scores, [3.2], atol=1e-5)
    assert found.protocol["edits"] == 4 * 2 * 6 and found.protocol["selector"] == "select_by_effect"
    flipped = sufficiency(StyleProbe(model, 4, False), IMAGES, found, 10)
    assert flipped["all"] == [1.0] and [row["class"] for row in flipped["classes"]] == [0, 1]
    assert all(
        row == {"class": row["class"], "images": 2, "flipped": [1.0]} for row in flipped["classes"]
    )
    images, logits = counterfactual(model, IMAGES, found, 1)
    np.testing.assert_allclose(images[:, 3, 4, 0], [-0.8, 0.8, -0.8, 0.8], atol=1e-6)
    images[:, :, 4] = IMAGES[:, :, 4]
    np.testing.assert_allclose(images, IMAGES, atol=1e-6)  # Nothing else has changed.
    assert logits.argmax(axis=1).tolist() == [1, 0, 1, 0]


def test_the_other_target_reverses_the_direction():
    found = find(column_model(lambda x: [2 * x[4], -2 * x[4]]), IMAGES, target=1)
    assert (
        found.coordinates.tolist() == [4] and found.directions.tolist() == [0] and found.target == 1
    )
    assert found.rows() == [
        {"coordinate": 4, "layer": "right", "index": 1, "direction": "minimum"}
        | {f"effect_towards_{side}": pytest.approx(3.0) for side in ("target", "rest")}
        | {"score": pytest.approx(3.2)}
    ]


def test_sufficiency_of_two_attributes_that_are_both_needed():
    model = column_model(lambda x: [x[0] + x[4] - 1.5, 0 * x[0]])
    found = find(model, painted([1, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0.1, 0], [0, 0, 0, 0, 0, 0]))
    assert set(found.coordinates.tolist()) == {0, 4}
    flipped = sufficiency(
        StyleProbe(model, 2, False), painted([0, 0, 0, 0, 0, 0], [0.9, 0, 0, 0, 1, 0]), found
    )
    assert flipped["all"] == [0.5, 1.0] and flipped["classes"][1]["flipped"] == [0.0, 1.0]
    assert flipped["classes"][0]["flipped"] == [1.0, 1.0] and flipped["images"] == 2


def test_subset_selects_by_joint_effect():
    # Column 1 is redundant with column 0. Column 4 has a smaller but independent effect.
    model = column_model(
        lambda x: [x[0] + ops.relu(0.9 * x[1] - x[0]) + 0.6 * x[4] - 1.2, 0 * x[0]]
    )
    found = find(model, painted([1, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]))
    image = painted([0, 0, 0, 0, 0, 0])
    probe = StyleProbe(model, 4, False)
    encoded = probe.encode(image)
    alone = independent(probe, encoded, found, 2)
    assert alone[0].tolist() == [[0, 1]] and alone[1].tolist() == [[1, 1]]
    together = subset(probe, encoded, found, 3)
    assert together[0].tolist() == [[0, 4, -1]]  # No other coordinate raises the odds.
    assert subset(probe, encoded, found, 2, candidates=2)[0].tolist() == [[0, -1]]
    curves = [
        sufficiency(probe, image, found, 2, strategy=by)["all"] for by in (independent, subset)
    ]
    assert curves == [[0.0, 0.0], [0.0, 1.0]]
    named = sufficiency(probe, image, found, 1, strategy=functools.partial(subset, candidates=2))
    assert named["strategy"] == "subset(candidates=2)"
    edited, _ = counterfactual(probe, image, found, 2, strategy=subset)
    np.testing.assert_allclose(edited[0, 0, :6, 0], [1, 0, 0, 0, 1, 0], atol=1e-6)


def test_independent_selects_coordinates_per_image():
    model = column_model(lambda x: [2 * ops.maximum(x[0], x[4]) - 1, 0 * x[0]])
    found = find(model, painted([1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]))
    probe = StyleProbe(model, 4, False)
    encoded = probe.encode(painted([0.9, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0.8, 0], [0, 0, 0, 0, 0, 0]))
    coordinates, directions = independent(probe, encoded, found, 1)
    assert coordinates[:2].tolist() == [[0], [4]] and directions[:2].tolist() == [[0], [0]]
    assert coordinates[2, 0] in (0, 4) and directions[2, 0] == 1


def test_one_class_against_the_rest():
    model = column_model(lambda x: [x[0], x[2], x[4]])
    images = painted(
        [1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0.2, 0, 0.8, 0]
    )
    found = find(model, images, target=2, count=1)
    assert found.coordinates.tolist() == [4] and found.directions.tolist() == [1]
    flipped = sufficiency(StyleProbe(model, 4, False), images, found)
    assert [(row["class"], row["images"]) for row in flipped["classes"]] == [(0, 1), (1, 1), (2, 2)]
    logits, values = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 2, 5, 3))
    pair = Effects(values, logits, np.zeros((2, 5))).one_vs_rest(1)
    others = lambda x: np.log(np.exp(x[..., 0]) + np.exp(x[..., 2]))  # noqa: E731
    np.testing.assert_allclose(pair.values[..., 0], values[..., 1])
    np.testing.assert_allclose(
        pair.values[..., 1], others(logits[:, None, None] + values) - others(logits)[:, None, None]
    )
    two = Effects(values[..., :2], logits[:, :2], np.zeros((2, 5))).one_vs_rest(1)
    np.testing.assert_array_equal(two.values, values[..., 1::-1])
    np.testing.assert_allclose(two.logits, logits[:, 1::-1])


def test_traversals_and_cumulative_counterfactuals():
    model = column_model(lambda x: [2 * x[4], -2 * x[4]])
    found = find(model, IMAGES, target=1)
    traversals, probabilities = attfind.traversals(model, IMAGES[:3], found, 5, batch_size=4)
    assert (
        traversals.shape == (1, 3, 5, 8, 8, 1)
        and traversals.dtype == "uint8"
        and probabilities.shape == (1, 3, 5)
    )
    grays = (np.array([0.8, 0.4, 0, -0.4, -0.8]) + 1) * 127.5
    assert np.abs(traversals[0, :, :, 2, 4, 0] - grays).max() < 0.51
    np.testing.assert_allclose(
        probabilities[0, 0], 1 / (1 + np.exp(4 * np.array([0.8, 0.4, 0, -0.4, -0.8]))), atol=1e-5
    )
    edited, probabilities = attfind.cumulative_counterfactuals(
        model, IMAGES[:3], found, 10, batch_size=4, progress=False
    )
    assert (
        edited.shape == (3, 2, 8, 8, 1)
        and ((probabilities[:, 0] > 0.5) != (probabilities[:, 1] > 0.5)).all()
    )


def test_edits_of_any_strength():
    model = column_model(lambda x: [2 * x[4], -2 * x[4]])
    found, probe = find(model, IMAGES, target=1), style_probe.StyleProbe(model, 4, False)
    encoded = probe.encode(IMAGES[:1])
    strengths = np.array([[-1.0], [-0.5], [0.0], [0.5], [1.0]])
    images, logits = attfind.edit(model, encoded, found, strengths, batch_size=4)
    before = encoded.images[0, 2, 4, 0]
    expected = [0.8, (0.8 + before) / 2, before, (before - 0.8) / 2, -0.8]
    np.testing.assert_allclose(images[:, 2, 4, 0], expected, atol=1e-5)
    np.testing.assert_allclose(logits[:, 0], 2 * images[:, 2, 4, 0], atol=1e-5)
    for wrong, message in (
        (np.zeros((1, 2)), r"strengths must be \[T, 1\]; received \[1, 2\]"),
        (np.zeros(1), r"strengths must be \[T, 1\]; received \[1\]"),
        (np.full((1, 1), 1.5), r"strengths must be in \[-1, 1\]; received 1.5 to 1.5"),
        (np.full((1, 1), np.nan), r"strengths must be in \[-1, 1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            attfind.edit(probe, encoded, found, wrong)


# === Selectors ===


def upward_effects(*rows):
    """Effects [N, 2, J] with the given effects of maxima and no effects of minima."""
    values = np.array(rows, float)
    return np.stack([np.zeros_like(values), values], axis=1)


def test_explained_images_leave_the_pool():
    # Coordinate 0 explains the first two images. For the others, coordinate 2 has a larger effect
    # than coordinate 1, though a smaller one over all images.
    effects = upward_effects([3, 2, 0], [3, 2, 0], [0, 0.4, 0.5], [0, 0, 0.5])
    assert select_by_effect(effects, 2, max_effect=1.0) == [(1, 0), (1, 2)]
    assert select_by_effect(effects, 2, max_effect=np.inf) == [(1, 0), (1, 1)]
    # Coordinate 2 explains the last images. Then all images return to the pool.
    assert select_by_effect(effects, 3, max_effect=0.5) == [(1, 0), (1, 2), (1, 1)]
    with pytest.raises(ValueError, match="max_effect must be above 0; received 0"):
        select_by_effect(effects, 2, max_effect=0)


def test_effects_that_lower_the_logit_count_as_zero():
    effects = upward_effects([-9, 1], [2, 1.5])
    effects[0, 0, 1] = 0.5
    assert select_by_effect(effects, 9) == [(1, 1), (1, 0), (0, 1)]
    assert (
        select_by_effect(np.full((3, 2, 4), 1e-6), 5) == []
        and select_by_count(np.zeros((3, 2, 4)), 5) == []
    )


def test_select_by_count():
    effects = upward_effects([0.3, 0, 9], [0.3, 0.3, 0], [0.3, 0.3, 0.1])
    assert select_by_count(effects, 5) == [(1, 0), (1, 1), (1, 2)]
    assert select_by_count(effects, 5, share=0.5) == [(1, 0), (1, 1)]
    assert select_by_count(effects, 1) == [(1, 0)] and select_by_count(effects, 5, threshold=1) == [
        (1, 2)
    ]


def test_merge_reverses_the_directions_of_the_rest():
    values = np.zeros((2, 2, 3, 2))
    values[:, 1, 0, 0], values[:, 0, 0, 1] = 1.0, 0.5  # up: target +1; down: rest +0.5
    values[:, 0, 1, 0], values[:, 1, 1, 1] = 0.25, 2.0
    values[:, 0, 2, 0], values[:, 1, 2, 0] = (
        0.3,
        0.2,
    )  # Both directions favor the target: the better one is kept.
    merged = merge([(1, 0), (1, 2), (0, 2)], [(1, 1), (0, 0)], values)
    assert merged == [(2.25, 0, 1), (1.5, 1, 0), (pytest.approx(0.3), 0, 2)]


def test_the_reproduction_explains_images_by_their_own_class():
    # Column 2 favors the target in images of the target, where column 4 is large; column 0 in the
    # other images.
    model = column_model(
        lambda x: [x[4] + ops.relu(x[4]) * x[2] + ops.relu(-x[4]) * x[0], 0 * x[0]]
    )
    images = painted(
        [0, 0, 0, 0, 1, 0], [1, 0, 1, 0, 1, 0], [0, 0, 0, 0, -1, 0], [0.5, 0, 1, 0, -1, 0]
    )
    ours, theirs = find(model, images, count=2), find(model, images, **REPRODUCTION | {"count": 2})
    assert ours.coordinates.tolist() == [4, 0] and theirs.coordinates.tolist() == [2]
    assert theirs.protocol["selector"] == "select_by_effect(max_effect=2.5)"
    assert theirs.protocol["explained_images"] == "same class"


def test_unstable_images_are_excluded():
    # The logits of the last image change with every edit.
    model = column_model(
        lambda x: [x[4] + 50 * ops.relu(x[5] - 0.5) * (x[0] + x[2] + x[4]), 0 * x[0]]
    )
    images = np.concatenate([IMAGES, painted([0.1, 0, 0, 0, 0.7, 1])])
    assert [
        find(model, images, max_unstable=most).protocol["images_used"] for most in (3, 100)
    ] == [4, 5]
    with pytest.raises(
        ValueError, match="images left after filtering must include .* received 0, none"
    ):
        find(model, images, max_unstable=-1)


# === Files and errors ===


def test_attributes_are_saved_and_loaded(tmp_path):
    found = find(column_model(lambda x: [2 * x[4] + x[0], -2 * x[4]]), IMAGES)
    found.save(tmp_path / "a.npz")
    again = Attributes.load(tmp_path / "a.npz")
    for field in dataclasses.fields(Attributes):
        one, other = getattr(found, field.name), getattr(again, field.name)
        assert type(one) is type(other) and np.array_equal(one, other), field.name
    assert again.rows() == found.rows() and len(again.protocol) > 5
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:100])
    np.savez(tmp_path / "c.npz", coordinates=[1])
    for name in ("b.npz", "c.npz", "absent.npz"):
        with pytest.raises(
            ValueError,
            match=r"attributes must be a file written by Attributes.save; received .*npz \(",
        ):
            Attributes.load(tmp_path / name)


def test_invalid_arguments_raise_one_line():
    model = column_model(lambda x: [2 * x[4], -2 * x[4]])
    found = find(model, IMAGES)
    ours, theirs = IMAGES[[0, 2]], IMAGES[[1, 3]]
    one_class = FakeModel(**vars(model) | {"classifier": FakeModel(output_shape=(None, 1))})
    foreign = dataclasses.replace(found, sizes=[4, 2])
    for call, message in (
        (
            lambda: find(model, ours),
            "some predicted as class 0 and some not; received 2, all predicted as 0",
        ),
        (lambda: find(model, theirs), "received 2, none predicted as 0"),
        (lambda: find(model, IMAGES, target=2), r"target must be a class, 0 .. 1; received 2"),
        (lambda: find(model, IMAGES, count=0), "count must be at least 1; received 0"),
        (lambda: find(model, IMAGES[..., 0]), r"images must be a float array \[N, H, W, C\]"),
        (lambda: find(model, IMAGES * 3), r"images must be finite and in \[-1, 1\]"),
        (
            lambda: style_probe.effects(model, IMAGES[:1]),
            "at least 2 images or bounds=; received 1 image",
        ),
        (
            lambda: style_probe.effects(model, IMAGES, bounds=IMAGES),
            r"be \[2, 6\]; received \[4, 8, 8, 1\]",
        ),
        (
            lambda: find(one_class, IMAGES),
            r"classifier must return logits \[N, classes\] .* received \[None, 1\]",
        ),
        (
            lambda: find(model, IMAGES, min_discriminator_logit=0.5),
            "discriminator logits need a model with a trained discriminator",
        ),
        (
            lambda: find(column_model(lambda x: [x[1] - 0.1, 0 * x[0]]), IMAGES),
            "received 4, none predicted as 0",
        ),
        (lambda: counterfactual(model, IMAGES, found, 2), r"k must be in 1 .. 1; received 2"),
        (lambda: sufficiency(model, IMAGES, found, 0), r"k must be in 1 .. 1; received 0"),
        (
            lambda: sufficiency(model, IMAGES, foreign),
            "attributes must belong to the generator of this model, 2 layers with 6",
        ),
        (lambda: StyleProbe(model, 0), "batch_size must be at least 1; received 0"),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
