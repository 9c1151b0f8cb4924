"""`zoo.play`: the answers of its panels, its server's limits, and the page in headless Chromium."""

import base64
import contextlib
import dataclasses
import io
import json
import socket
import sys
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from kerasgan.images import from_uint8, png_data_uri, to_uint8
from tests.browser import CHROMIUM, NO_BROWSER, Browser
from zoo import play
from zoo.playground import panels, server

NAMES = ("coopnet_digits", "mnist_gan_digits", "stylex_digits_8_9")


@pytest.fixture(scope="module")
def tabs():
    return {name: panels.tab(name) for name in NAMES}


def decoded(uri):
    """Pixels of a PNG data URI, `[H, W, C]`."""
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def uri_of(data):
    return "data:image/png;base64," + base64.b64encode(data).decode()


# === Panels ===


def test_generated_images_are_those_of_the_shown_command(tabs):
    panel = tabs["mnist_gan_digits"].panels["generate"]
    answer = panel.run({"labels": "3, 1 4", "seed": 7})
    made = panels.sample.load("mnist_gan_digits").sample(labels=[3, 1, 4], seed=7)
    shown = [decoded(picture["src"]) for picture in answer["pictures"]]
    np.testing.assert_array_equal(shown, to_uint8(made))
    assert answer["command"] == (
        "python -m zoo.sample --checkpoint=mnist_gan_digits --seed=7 --labels=3,1,4"
    )
    assert answer["pictures"][0]["file"] == "mnist_gan_digits_seed7_0.png"
    assert answer == panel.run({"labels": "3, 1 4", "seed": 7})


def test_the_shown_command_has_the_truncation(tabs):
    panel = tabs["stylex_digits_8_9"].panels["generate"]
    assert "--truncation=0.5" in panel.run({"labels": "8", "truncation": 0.5})["command"]
    assert "truncation" not in panel.run({"labels": "8"})["command"]


@pytest.mark.nightly
def test_captions_give_images_of_each_size_and_notes_of_unknown_words():
    panel = panels.tab("hdgan_synthetic_birds_256").panels["generate"]
    answer = panel.run({"caption": "a zzzyx bird", "seed": 3})
    assert [decoded(one["src"]).shape[0] for one in answer["pictures"]] == [64, 128, 256]
    assert "zzzyx" in " ".join(answer["notes"])
    with pytest.raises(ValueError, match="a caption must have at most 300 characters"):
        panel.run({"caption": "a" * 301})


def test_interpolation_passes_through_its_ends(tabs):
    panel = tabs["mnist_gan_digits"].panels["interpolate"]
    frames = panel.run({"labels": "3,8", "frames": 2, "seed": 1})["pictures"]
    ends = panels.sample.load("mnist_gan_digits").sample(labels=[3, 8], seed=1)
    assert len(frames) == 3
    np.testing.assert_array_equal(decoded(frames[0]["src"]), to_uint8(ends)[0])
    with pytest.raises(ValueError, match="give 2 to 4 classes; received 1"):
        panel.run({"labels": "3"})


def test_langevin_chain_ends_at_the_samples_of_the_descriptor(tabs):
    answer = tabs["coopnet_digits"].panels["langevin"].run({"steps": 3, "seed": 5})
    model = panels.sample.load("coopnet_digits")
    revised = model.sample(1, seed=5, by="descriptor", steps=3)
    assert len(answer["pictures"]) == 4 and answer["chart"].count("<circle") == 4
    last = decoded(answer["pictures"][-1]["src"])
    assert np.abs(last.astype(int) - to_uint8(revised)[0]).max() <= 1


def test_explanation_of_an_example_an_upload_and_a_drawing(tabs):
    panel = tabs["stylex_digits_8_9"].panels["explain"]
    first = panel.run({"example": 0})
    assert [name for name, _ in first["original"]] == ["8", "9"]
    assert sum(chance for _, chance in first["probabilities"]) == pytest.approx(1)
    assert first["edited"] == first["reconstruction"]
    uploaded = panel.run({"source": "upload", "image": first["fitted"]})
    assert uploaded == first
    # Moving all attributes to one end or the other changes the prediction.
    ends = [
        panel.run({"source": "fitted", "image": first["fitted"], "strengths": [end] * 10})
        for end in (-1, 1)
    ]
    chances = [dict(map(tuple, end["probabilities"]))["8"] for end in ends]
    assert chances[0] < 0.5 < chances[1] and "effects" not in ends[0]
    drawing = np.zeros((280, 280, 1), "uint8")
    drawing[20:60, 20:60] = 255  # A square in the corner: it is moved to the center.
    drawn = decoded(
        panel.run({"source": "drawing", "image": png_data_uri(from_uint8(drawing))})["fitted"]
    )
    assert drawn.shape == (32, 32, 1) and drawn[6:26, 6:26].min() == 255 and drawn[:6].max() == 0
    inverted = png_data_uri(255 - decoded(first["fitted"]))
    again = panel.run({"source": "upload", "image": inverted, "invert": True})
    assert again["fitted"] == first["fitted"]


@pytest.mark.parametrize(
    ("name", "panel", "received", "rule"),
    [
        ("mnist_gan_digits", "generate", {"seed": -1}, "seed must be at least 0"),
        ("mnist_gan_digits", "generate", {"seed": 2**32}, "seed must be at least 0 and below"),
        ("mnist_gan_digits", "generate", {"seed": "x"}, "seed must be a whole number"),
        ("mnist_gan_digits", "generate", {"seed": None}, "seed must be a whole number"),
        ("mnist_gan_digits", "generate", {"labels": "11"}, "give 1 to 25 classes of 0, 1, 2"),
        ("mnist_gan_digits", "generate", {"labels": "1," * 26 + "1"}, "give 1 to 25 classes"),
        ("mnist_gan_digits", "generate", {"labels": ""}, "give 1 to 25 classes"),
        ("mnist_gan_digits", "generate", {"labels": ["1"]}, "labels must be a text"),
        ("mnist_gan_digits", "generate", {"checkpoint": "/etc/passwd"}, "received another one"),
        ("mnist_gan_digits", "interpolate", {"frames": 10**9}, "frames must be at least 1 and at"),
        ("coopnet_digits", "generate", {"n": 26}, "n must be at least 1 and at most 25"),
        ("coopnet_digits", "generate", {"by": "x"}, "by must be generator or descriptor"),
        ("coopnet_digits", "langevin", {"steps": 61}, "steps must be at least 1 and at most 60"),
        ("stylex_digits_8_9", "generate", {"truncation": 1e400}, "truncation must be finite"),
        ("stylex_digits_8_9", "explain", {"source": "x"}, "source must be one of example, upload"),
        ("stylex_digits_8_9", "explain", {"path": "/etc/passwd"}, "received another one"),
        ("stylex_digits_8_9", "explain", {"example": True}, "example must be a number from 0 to"),
        ("stylex_digits_8_9", "explain", {"example": -1}, "example must be a number from 0 to 15"),
        ("stylex_digits_8_9", "explain", {"strengths": [2.0] * 10}, "strengths must be 10 numbers"),
        ("stylex_digits_8_9", "explain", {"strengths": [0.0]}, "strengths must be 10 numbers"),
        (
            "stylex_digits_8_9",
            "explain",
            {"strengths": [float("nan")] * 10},
            "strengths must be 10 numbers",
        ),
    ],
)
def test_bad_values_are_one_line(tabs, name, panel, received, rule):
    with pytest.raises(ValueError, match=rule) as caught:
        tabs[name].panels[panel].run(received)
    assert "\n" not in str(caught.value)


def large_png():
    made = io.BytesIO()
    Image.new("1", (5000, 5000)).save(made, "PNG")
    return made.getvalue()


@pytest.mark.parametrize(
    ("image", "rule"),
    [
        (lambda: None, "image must be a data URI"),
        (lambda: "/etc/passwd", "image must be a data URI"),
        (lambda: "file:///etc/passwd", "image must be a data URI"),
        (lambda: "data:image/png;base64,%", "image must be valid base64"),
        (lambda: uri_of(b""), "the upload: its content is not PNG"),
        (lambda: uri_of(b"%!PS-Adobe-3.0 EPSF-3.0"), "the upload: its content is not PNG"),
        (lambda: uri_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "the upload: its content"),
        (lambda: uri_of(large_png()[:300]), "the upload: "),
        (lambda: uri_of(large_png()), "the upload: an upload may have 16,777,216 pixels"),
        (lambda: png_data_uri(np.zeros((32, 32, 1))), "draw a digit first"),
    ],
)
def test_uploads_that_are_no_images_are_one_line(tabs, image, rule):
    panel = tabs["stylex_digits_8_9"].panels["explain"]
    image = image()
    if rule == "draw a digit first":
        image = png_data_uri(np.full((32, 32, 1), -1.0))
    with pytest.raises(ValueError, match=rule) as caught:
        panel.run({"source": "drawing", "image": image})
    assert "\n" not in str(caught.value)


# === The server ===


class Slow:
    """A panel that waits until it may answer."""

    def __init__(self):
        self.go = threading.Event()

    def about(self):
        return {"title": "Slow", "lead": "", "kind": "pictures", "controls": []}

    def run(self, received):
        assert self.go.wait(20)
        return {"pictures": [], "notes": [], "received": received}


def tab(panel=None):
    """A tab with a panel and no model."""
    return panels.Tab("slow", "Slow", lambda: {"generate": panel or Slow()})


@pytest.fixture
def serve():
    """Function that serves tabs and returns the port."""
    wasyncore = pytest.importorskip("waitress.wasyncore")
    running = []

    def start(tabs, proxy=None, **options):
        application = server.Application(tabs, **options)
        found = server.create_server(application, "127.0.0.1", 0, proxy)
        thread = threading.Thread(target=found.run, daemon=True)
        thread.start()
        running.append((found, thread))
        return found.effective_port

    yield start
    for found, thread in running:
        # Ends the loop of the server in its own thread.
        found.trigger.pull_trigger(lambda found=found: wasyncore.close_all(found._map))
        thread.join(timeout=10)
        found.task_dispatcher.shutdown()
        assert not thread.is_alive()


def ask(port, path, values=None, kind="application/json"):
    """Status, headers and content of a request."""
    data = None if values is None else json.dumps(values).encode()
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, data, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def raw(port, text):
    """Answer to the bytes of a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(text)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


PATHS = [
    "/../../../../etc/passwd",
    "/..%2f..%2f..%2fetc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//etc/passwd",
    "/etc/passwd",
    "/play.js/../../server.py",
    "/server.py",
    "/play.css%00.html",
    "/file=/etc/passwd",
    "/gradio_api/file=/etc/passwd",
    "/static/../../../setup.cfg",
    "/..\\..\\etc\\passwd",
    "/tabs/0/../../tabs.json",
    "/tabs/0/",
    "/tabs/00",
    "/tabs/1",
    "/tabs/99/generate",
    "/tabs/-1/generate",
    "/tabs/0/__class__",
    "http://127.0.0.1/etc/passwd",
    "file:///etc/passwd",
]


def test_no_file_of_the_server_can_be_reached(serve):
    port = serve([tab()])
    for path in PATHS:
        for method in ("GET", "POST", "PUT"):
            answer = raw(
                port,
                f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".encode(),
            )
            status = answer.split(b" ", 2)[1]
            assert status in (b"404", b"400", b"405"), (method, path, answer[:200])
            assert b"root:" not in answer and b"import" not in answer
    assert raw(port, b"nonsense\r\n\r\n").split(b" ")[1] == b"400"


def test_headers_allow_no_other_host(serve):
    port = serve([tab()])
    for path in ("/", "/play.js", "/play.css", "/tabs.json"):
        status, headers, content = ask(port, path)
        policy = headers["Content-Security-Policy"]
        assert status == 200 and content and "default-src 'none'" in policy
        assert "http" not in policy and headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in headers
    # A request as another site's page can send it without asking.
    assert ask(port, "/tabs/0/generate", {}, "text/plain")[0] == 405


def test_requests_beyond_the_queue_or_the_share_of_a_client_are_refused(serve, monkeypatch):
    slow = Slow()
    port = serve([tab(slow)], queue=8)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(ask(port, "/tabs/0/generate", {})[0]))
        for _ in range(server.PER_CLIENT + 3)
    ]
    for thread in threads:
        thread.start()
    while len(found) < 3:  # The refusals come at once, although the models are busy.
        threads[0].join(0.01)
    assert found == [429] * 3 and ask(port, "/")[0] == 200
    monkeypatch.setattr(server, "PER_CLIENT", 100)
    application = server.Application([], queue=0)
    with pytest.raises(server.Busy, match="503"):
        application._computed("a", slow.run, b"{}")
    slow.go.set()
    for thread in threads:
        thread.join(20)
    assert sorted(found) == [200] * (len(threads) - 3) + [429] * 3


@pytest.mark.parametrize(
    ("body", "status", "rule"),
    [
        (b"[]", 400, "a request must be a JSON object"),
        (b"{", 400, "line 1 column 2"),
        (b"\xff\xfe", 400, ""),
        (b"[" * 100_000, 400, "nested"),
    ],
)
def test_bad_requests_are_one_line(serve, body, status, rule):
    port = serve([tab()])
    head = (
        "POST /tabs/0/generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    answer = raw(port, head.encode() + body)
    message = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert f" {status} ".encode() in answer and rule in message and "\n" not in message


def test_large_requests_and_many_connections_of_a_client_are_refused(serve):
    port = serve([tab()])
    head = f"POST /tabs/0/generate HTTP/1.1\r\nHost: x\r\nContent-Length: {server.BODY + 1}\r\n"
    answer = raw(port, f"{head}Connection: close\r\n\r\n".encode())
    assert b" 413 " in answer
    most = server.CONNECTIONS_PER_CLIENT
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(most + 5)]
    try:
        for connection in connections[-5:]:
            connection.settimeout(10)
            assert connection.recv(1) == b""  # Closed by the server.
        connections[0].sendall(b"GET /tabs.json HTTP/1.0\r\n\r\n")
        assert connections[0].recv(12) == b"HTTP/1.0 200"
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(("proxy", "client"), [(None, "127.0.0.1"), ("127.0.0.1", "192.0.2.1")])
def test_only_a_trusted_proxy_names_the_client(serve, proxy, client, monkeypatch):
    seen = []
    monkeypatch.setattr(server.Application, "_computed", lambda self, *given: seen.append(given[0]))
    port = serve([tab()], proxy)
    head = (
        "POST /tabs/0/generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
        "Content-Type: application/json\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n{}"
    )
    assert b" 200 " in raw(port, head.encode()) and seen == [client]


def test_unexpected_errors_do_not_tell_the_client_where(serve, capsys):
    class Broken(Slow):
        def run(self, received):
            raise RuntimeError("/secret/path")

    port = serve([tab(Broken())])
    status, _, content = ask(port, "/tabs/0/generate", {})
    assert status == 500 and b"secret" not in content
    assert "/secret/path" in capsys.readouterr().err


# === The command ===


def test_models_are_loaded_when_their_tab_is_first_used(serve, monkeypatch):
    monkeypatch.setattr(panels.sample, "load", lambda name: pytest.fail("loaded at once"))
    tabs = play.find_tabs(play.Options())
    port = serve(tabs)
    shown = json.loads(ask(port, "/tabs.json")[2])
    assert [one["name"] for one in shown] == panels.presets.names()
    monkeypatch.undo()
    index = [tab.name for tab in tabs].index("mnist_gan_digits")
    status, _, content = ask(port, f"/tabs/{index}", {})
    assert status == 200 and set(json.loads(content)["panels"]) == {"generate", "interpolate"}
    assert ask(port, f"/tabs/{index}", {"x": 1})[0] == 400
    status, _, content = ask(port, f"/tabs/{index}/langevin", {})
    assert status == 400 and b"this model has no panel langevin" in content
    assert [tab.name for tab in tabs if "panels" in vars(tab)] == ["mnist_gan_digits"]


def test_dry_run_lists_the_tabs(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["play", "--checkpoint=mnist_gan_digits", "--dry_run"])
    play.main()
    text = capsys.readouterr().out
    assert "port                     7860" in text
    assert "mnist_gan_digits" in text and "ConditionalGAN: generate, interpolate" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--checkpoint=nowhere"], "a preset must be one of"),
        (["--checkpoint=synthetic_birds_text"], "--checkpoint must generate images"),
        (["--port=70000"], "--port must be at least 0 and at most 65535"),
        (["--checkpoint=stylex_digits_8_9", "--attributes=x.npz"], "x.npz"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["play", *words])
    with pytest.raises(SystemExit) as stopped:
        play.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 1 and message in line


def test_a_missing_waitress_names_the_extra(monkeypatch, capsys):
    monkeypatch.setattr(play.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["play"])
    with pytest.raises(SystemExit):
        play.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: zoo.play needs the package waitress: pip install 'kerasgan[play]'"


def test_a_port_in_use_is_one_line(serve, capsys, monkeypatch):
    port = serve([tab()])
    monkeypatch.setattr(play, "find_tabs", lambda options: [])
    words = ["play", f"--port={port}", "--noopen"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        play.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert f"cannot listen at 127.0.0.1, port {port}: Address already in use" in line


def test_only_the_name_of_a_checkpoint_is_shown(tmp_path):
    model = panels.sample.load("mnist_gan_digits")
    folder = tmp_path / "secret" / "mine"
    panels.presets.save(model, folder)
    mine = panels.tab(str(folder))
    shown = json.dumps([mine.about({}), mine.run("generate", {})])
    assert mine.name == "mine" and "--checkpoint=mine" in shown and "secret" not in shown


# === The page in a browser ===

IDLE = "![...document.querySelectorAll('[role=status]')].some(e => e.textContent.endsWith(' …'))"
SLIDE = "(() => {{ const e = {0}; e.value = {1}; e.dispatchEvent(new Event('input')); }})()"


BUTTON = "[...document.querySelectorAll('nav button')].find(e => e.title == '{0}')"


@contextlib.contextmanager
def opened(port):
    """Opens the page at 400 pixels, and checks that it has no problem and asks no other host."""
    if CHROMIUM is None:
        pytest.skip(NO_BROWSER)
    with Browser(width=400, height=850) as page:
        page.open(f"http://127.0.0.1:{port}/")
        page.wait("document.querySelectorAll('nav button').length")
        yield page
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        assert page.errors == []
        assert page.hosts == {f"127.0.0.1:{port}"}


def use_tab(page, tab):
    """Opens a tab and uses the common controls of its panels."""
    page.evaluate(f"{BUTTON.format(tab.model)}.click()")
    for name, panel in tab.panels.items():
        card = f"document.getElementById('{tab.name}_{name}')"
        images = f"{card}.querySelectorAll('.result img')"
        page.wait(f"{card} != null")
        if panel.kind != "explain":
            page.evaluate(f"{card}.querySelector('[name=seed]').value = 3")
            page.evaluate(f"{card}.querySelector('button.main').click()")
        page.wait(f"{images}.length > 0 && {IDLE}")
        assert "seed3" in page.evaluate(f"{card}.innerHTML") or panel.kind == "explain"
        if panel.kind == "frames":
            before = page.evaluate(f"{images}[0].src")
            slider = f"{card}.querySelector('.result input')"
            page.evaluate(SLIDE.format(slider, 2))
            assert page.evaluate(f"{images}[0].src") != before
            page.evaluate(f"{card}.querySelector('.result button').click()")  # Play
            page.wait(f"{slider}.value != 2")
            page.evaluate(f"{card}.querySelector('.result button').click()")  # Pause
        if name == "langevin":
            assert page.evaluate(f"{card}.querySelectorAll('circle.now').length") == 1


def test_the_page_in_a_browser(tabs, serve, tmp_path):
    """Classes and their mistakes; StylEx with a slider, a drawing and an upload."""
    damaged = panels.Tab("damaged", "Damaged", lambda: json.loads("{"))
    names = ("mnist_gan_digits", "stylex_digits_8_9")
    with opened(serve([*(tabs[name] for name in names), damaged])) as page:
        use_tab(page, tabs["mnist_gan_digits"])
        card = "document.getElementById('mnist_gan_digits_generate')"
        page.evaluate(f"{card}.querySelector('[name=labels]').value = '12'")
        assert page.errors == []
        page.evaluate(f"{card}.querySelector('button.main').click()")
        page.wait(f"{card}.querySelector('.error')?.textContent.startsWith('give 1 to 25')")
        page.evaluate(f"{BUTTON.format('Damaged')}.click()")
        page.wait("document.querySelector('#tabs > :last-child .error') != null")
        assert all("400 (Bad Request)" in problem for problem in page.errors)
        page.errors.clear()
        page.evaluate(f"{BUTTON.format('StylEx')}.click()")
        card = "document.getElementById('stylex_digits_8_9_explain')"
        edited = f"{card}.querySelector('.result .pictures > div:last-child img')"
        page.wait(f"{card} != null && {edited} != null && {IDLE}")
        before = page.evaluate(f"{edited}.src")
        page.evaluate(SLIDE.format(f"{card}.querySelector('.attributes input')", -1))
        page.wait(f"{edited}.src != {json.dumps(before)} && {IDLE}")
        page.evaluate(f"{card}.querySelector('canvas').scrollIntoView({{block: 'center'}})")
        left, top, side = page.evaluate(
            f"(() => {{ const r = {card}.querySelector('canvas').getBoundingClientRect();"
            "return [r.left, r.top, r.width]; })()"
        )
        nine = [(0.6, 0.3), (0.4, 0.3), (0.4, 0.5), (0.6, 0.5), (0.6, 0.3), (0.6, 0.8)]
        page.drag([(left + x * side, top + y * side) for x, y in nine])
        page.evaluate(f"[...{card}.querySelectorAll('button')].find(e => "
                      "e.textContent == 'Explain the drawing').click()")  # fmt: skip
        page.wait(f"{card}.querySelector('.result .chances').textContent.includes('9: 100.0')")
        path = tmp_path / "upload.png"
        path.write_bytes(base64.b64decode(png_data_uri(from_uint8(_eight())).partition(",")[2]))
        page.choose_file("#stylex_digits_8_9_explain input[type=file]", path)
        page.wait(f"{IDLE} && /^8: (9|100)/.test({card}.querySelector('.chances').textContent)")
        links = page.evaluate("[...document.querySelectorAll('a')].map(e => [e.download, e.href])")
        assert links and all(
            name.endswith(".png") and href.startswith("data:image/png") for name, href in links
        )


@pytest.mark.nightly
def test_every_tab_in_a_browser(serve):
    every = [panels.tab(name) for name in panels.presets.names()]
    one_per_class = list({tab.model: tab for tab in every}.values())
    with opened(serve(one_per_class)) as page:
        for tab in one_per_class:
            use_tab(page, tab)


def _eight():
    """The first test digit 8, uint8 `[28, 28, 1]`."""
    from kerasgan.datasets.digits import load_digits

    images, labels = load_digits("test")
    return to_uint8(images[labels == 8][:1])[0]


def test_options_are_checked():
    with pytest.raises(ValueError, match="queue must be at least 2"):
        play.Options(queue=1)
    assert dataclasses.asdict(play.Options())["host"] == "127.0.0.1"
