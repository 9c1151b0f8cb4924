"""The live demo of the documentation site, in headless Chromium, from a static file server.

The models are exported and onnxruntime-web is fetched from npm once; `.cache/demo` keeps them. The
birds' export takes a minute, so their tests are nightly.
"""

import contextlib
import json
import re
import shutil

import numpy as np
import pytest
from keras import ops

from docs.demo import build
from kerasgan.encoders import char_cnn_rnn
from kerasgan.io import presets
from tests.browser import CHROMIUM, NO_BROWSER, Browser, StaticServer

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)
CAPTIONS = [
    "this bird has red wings, an orange breast and a yellow crown",
    "A RED Bird - with; 'quotes' \"and\" a tree's leaf!",
    "Ein großer Vögel mit ROTEN Flügeln, ß ẞ ﬁ",
    "İstanbul ΟΔΥΣΣΕΥΣ K\u212a Å",
    "鳥は赤い 🐦🐦 red \U0001d400 bird",
    "  \t a_b\u00a0c~`+-=<>()[]{}|\\/ ",
    "x" * 400,
    "🐦" * 199 + "bird",
    "the bird's '' o'clock ²3 ½ Ⅷ ٣",
]


def make_site(root, panels):
    """Makes a folder like `site/`: the page, without the theme, and the demo's files."""
    shutil.copytree(build.ROOT / "docs" / "demo", root / "demo")
    text = (root / "demo" / "index.md").read_text()
    (root / "demo" / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        + re.sub(r"^(#.*|\[?[A-Z`s].*)$", "", text, flags=re.M)
    )
    return build.build(root / "demo", panels)


@contextlib.contextmanager
def opened(root, *panels):
    """Opens the page with some of its panels."""
    if CHROMIUM is None:
        pytest.skip(NO_BROWSER)
    missing = make_site(root, panels)
    if missing:
        pytest.skip(missing)
    with StaticServer(root) as server, Browser(width=400, height=800) as browser:
        browser.open(f"{server.url}demo/")
        browser.evaluate(
            "Promise.all(['demo', 'text'].map((name) => import(`./${name}.js`)))"
            ".then(([demo, text]) => { Object.assign(window, { demo, text }); return demo.ready; })"
            ".then(() => 0)"
        )
        yield browser
        assert browser.evaluate("document.documentElement.scrollWidth") <= 400
        assert browser.errors == []
        assert browser.hosts == {server.host}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("site"), "digits", "stylex") as browser:
        yield browser


@pytest.fixture(scope="module")
def birds_page(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("site"), "birds") as browser:
        yield browser


def finished(page, name):
    page.evaluate(f"document.getElementById('{name}-status').scrollIntoView()")
    state = f"document.getElementById('{name}-status').dataset.state"
    page.wait(f"['done', 'failed'].includes({state})")
    assert page.evaluate(state) == "done", page.evaluate(
        f"document.getElementById('{name}-status').textContent"
    )
    return float(page.evaluate(f"document.getElementById('{name}-status').dataset.seconds"))


def array(page, expression):
    found = page.evaluate(f"{expression}.then((x) => [Array.from(x.data), x.dims.map(Number)])")
    return np.asarray(found[0], "float32").reshape(found[1])


def about(page, panel):
    return page.evaluate(f"fetch('models/demo.json').then((x) => x.json()).then((x) => x.{panel})")


def test_page(page):
    """Every control works at 400 pixels."""
    assert page.evaluate("document.getElementById('demo-missing').hidden")
    assert page.evaluate("document.querySelector('[data-panel=birds]').hidden")
    finished(page, "digit")
    page.evaluate("document.getElementById('digit-text').value = '12'")
    page.evaluate("document.getElementById('digit-again').click()")
    page.wait("document.querySelectorAll('#digit-images canvas').length === 2")
    finished(page, "stylex")
    first = "Number(document.getElementById('stylex-probabilities').dataset.first)"
    assert page.evaluate(first) > 0.99  # The first digit is an 8.
    page.evaluate(
        "document.querySelectorAll('#stylex-sliders input').forEach((slider) => {"
        " slider.value = 0; slider.dispatchEvent(new Event('input')); })"
    )
    page.wait(f"{first} < 0.5")  # Six attributes change the classifier's decision.
    page.evaluate("document.getElementById('stylex-reset').click()")
    page.wait(f"{first} > 0.99")
    page.evaluate("document.querySelectorAll('#stylex-choices button')[1].click()")
    page.wait(f"{first} < 0.01")  # The second digit is a 9.


def test_digits_equal_keras(page):
    model = presets.load("mnist_gan_digits")
    count = 3 * model.latent_dim
    z = np.asarray(page.evaluate(f"Array.from(text.latents(1, {count}))"), "float32")
    assert abs(z.mean()) < 0.5 and 0.7 < z.std() < 1.3
    images = array(page, f"demo.digits([3, 1, 4], text.latents(1, {count}))")
    expected = model.sample(labels=[3, 1, 4], latents=z.reshape(3, -1), seed=0)
    np.testing.assert_allclose(images, expected, atol=1e-3)


@pytest.mark.nightly
def test_explanations_equal_keras(page):
    model, facts = presets.load("stylex_digits_8_9"), about(page, "stylex")
    pixels = facts["images"][0]
    image = f"Float32Array.from({pixels}, (x) => x / 127.5 - 1)"
    styles = array(page, f"demo.encode({image}).then((x) => x.styles)")
    images = (np.asarray(pixels, "float32") / 127.5 - 1).reshape(1, 32, 32, 1)
    expected, rgb = (np.concatenate(x, axis=-1) for x in model.styles(images))
    np.testing.assert_allclose(styles, expected, atol=1e-3)
    moved = expected.copy()
    coordinate = facts["attributes"][0]["coordinate"]
    moved[0, coordinate] = facts["bounds"][0][coordinate]
    arrays = ", ".join(f"Float32Array.from({x[0].tolist()})" for x in (moved, rgb))
    call = f"demo.synthesize({arrays})"
    found = array(page, f"{call}.then((x) => x.image)")
    inputs = {"styles": moved, "rgb_styles": rgb, "noise": model.noise}
    made = model.export_functions()["synthesis"].call(inputs)["images"]
    made = np.clip(ops.convert_to_numpy(made), -1, 1)
    np.testing.assert_allclose(found, made, atol=1e-3)
    logits = ops.convert_to_numpy(model.classifier(made, training=False))[0]
    expected = np.exp(logits) / np.exp(logits).sum()
    probabilities = page.evaluate(f"{call}.then((x) => x.probabilities)")
    np.testing.assert_allclose(probabilities, expected, atol=1e-3)


@pytest.mark.nightly
def test_birds(birds_page):
    """The controls of the birds. The picture of a caption is that of Keras."""
    page = birds_page
    finished(page, "bird")
    page.evaluate("document.getElementById('bird-again').click()")
    assert finished(page, "bird") < 2  # A caption takes 0.2 s on one idle core.
    before = picture(page, "bird-image")
    page.evaluate("document.querySelector('#bird-examples button').click()")
    finished(page, "bird")
    page.wait(f"document.getElementById('bird-image').toDataURL() !== {json.dumps(before)}")
    page.evaluate("document.getElementById('bird-caption').value = '鳥'")
    page.evaluate("document.getElementById('bird-form').requestSubmit()")
    page.wait("document.getElementById('bird-status').dataset.state === 'failed'")
    page.evaluate("document.getElementById('bird-caption').value = 'a red zebra'")
    page.evaluate("document.getElementById('bird-form').requestSubmit()")
    page.wait("document.getElementById('bird-status').dataset.state === 'done'")
    assert "not trained on: zebra." in page.evaluate(
        "document.getElementById('bird-status').textContent"
    )
    model, caption = presets.load("projected_text_gan_synthetic_birds_256"), CAPTIONS[0]
    z = np.asarray(page.evaluate(f"Array.from(text.latents(5, {model.latent_dim}))"), "float32")
    images = array(page, f"demo.bird({json.dumps(caption)}, text.latents(5, {model.latent_dim}))")
    expected = model.sample(captions=[caption], latents=z[None], seed=0)
    np.testing.assert_allclose(images, expected, atol=1e-3)


def picture(page, name):
    return page.evaluate(f"document.getElementById('{name}').toDataURL()")


@needs_browser
def test_captions_and_a_page_without_models(tmp_path, monkeypatch):
    """Captions are read as in Python. A page without models says why."""
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    missing = make_site(tmp_path, ("digits",))
    assert missing == "npm is not installed, so onnxruntime-web is missing"
    with StaticServer(tmp_path) as server, Browser() as browser:
        browser.open(f"{server.url}demo/")
        browser.wait("!document.getElementById('demo-missing').hidden")
        assert "npm is not installed" in browser.evaluate(
            "document.getElementById('demo-missing').textContent"
        )
        assert browser.evaluate("document.getElementById('demo').hidden")
        browser.evaluate("import('./text.js').then((text) => { window.text = text; return 0; })")
        indices = {character: i for i, character in enumerate(char_cnn_rnn.ALPHABET)}
        alphabet = json.dumps(indices)
        for caption in CAPTIONS:
            text = json.dumps(caption)
            found = browser.evaluate(f"Array.from(text.characters({text}, {alphabet}))")
            assert found == char_cnn_rnn.characters([caption])[0].tolist(), caption
            assert browser.evaluate(f"text.words({text})") == char_cnn_rnn.words(caption), caption
        for caption in ("", "   ", "鳥"):
            readable = f"text.isReadable(text.characters('{caption}', {alphabet}), {alphabet})"
            assert browser.evaluate(readable) is False
        assert browser.errors == []


def test_npm_without_network(tmp_path, monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: name)
    monkeypatch.setattr(build, "RUNTIME", "/no/such/package")
    with pytest.raises(build.MissingError, match="npm could not fetch"):
        build.runtime(tmp_path)
