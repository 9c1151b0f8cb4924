"""Drives a headless Chromium through its DevTools protocol. Tests skip where there is none."""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


class Page:
    """One tab of the browser.

    Attributes:
        requests: URLs that the page requested.
        problems: Console messages of errors and warnings, exceptions and failed requests.
    """

    def __init__(self, url):
        websocket = pytest.importorskip("websocket", reason="needs websocket-client")
        self.socket = websocket.create_connection(url, timeout=30, suppress_origin=True)
        self.last, self.requests, self.problems = 0, [], []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Calls a method of the protocol and returns its result."""
        self.last += 1
        self.socket.send(json.dumps({"id": self.last, "method": method, "params": parameters}))
        while (message := json.loads(self.socket.recv())).get("id") != self.last:
            self._note(message)
        assert "error" not in message, message
        return message["result"]

    def _note(self, message):
        method, about = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(about["url"])
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning"):
            self.problems.append(str(about["args"]))
        elif method == "Runtime.exceptionThrown":
            self.problems.append(str(about["exceptionDetails"]))
        elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.problems.append(about["entry"]["text"])

    def run(self, script):
        """Evaluates JavaScript, waits for promises, and returns the value."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition, seconds=20):
        """Waits until a JavaScript expression is true. Returns its value."""
        end = time.monotonic() + seconds
        while not (value := self.run(condition)):
            assert time.monotonic() < end, f"{condition} is never true; problems: {self.problems}"
            time.sleep(0.05)
        return value

    def open(self, url, width=1200, height=900):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete'")

    def screenshot(self, path):
        """Saves the whole page as a PNG file."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def drag(self, points):
        """Moves the pressed mouse along points (x, y) of the window."""
        for index, (x, y) in enumerate(points):
            kind = "mousePressed" if index == 0 else "mouseMoved"
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        x, y = points[-1]
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left")


@contextlib.contextmanager
def opened(folder):
    """Starts Chromium with a profile in `folder` and gives a `Page`. Skips if there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs the browser chromium")
    words = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
    ]
    words += ["--no-first-run", "--disable-background-networking", "--remote-debugging-port=0"]
    process = subprocess.Popen(
        [program, *words, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        place, end = Path(folder) / "DevToolsActivePort", time.monotonic() + 30
        while not place.is_file() or "\n" not in place.read_text():
            if process.poll() is not None or time.monotonic() > end:
                pytest.skip("chromium does not start")
            time.sleep(0.05)
        port = place.read_text().splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            tab = next(one for one in json.load(answer) if one["type"] == "page")
        page = Page(tab["webSocketDebuggerUrl"])
        try:
            yield page
        finally:
            page.socket.close()
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # Its own group of processes.
        process.wait(timeout=10)
