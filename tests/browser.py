"""Headless Chromium through its DevTools protocol, without further packages.

with Browser(width=400) as browser:
    browser.open("http://127.0.0.1:8000/")
    browser.wait("document.title === 'ready'")
    browser.evaluate("1 + 1")
    assert browser.errors == [] and browser.hosts == {"127.0.0.1:8000"}
"""

import base64
import functools
import itertools
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
NO_BROWSER = "no browser: install Debian's chromium"  # The reason of a skipped test.


class Browser:
    """Context manager: one page of a headless browser.

    Attributes:
        errors: Errors and warnings of the console, uncaught exceptions, and failed requests.
        hosts: Hosts and ports of all requests.
    """

    def __init__(self, width: int = 1000, height: int = 800):
        self.size, self.errors, self.hosts = (width, height), [], set()
        self._ids, self._answers, self._session = itertools.count(1), queue.Queue(), None

    def __enter__(self) -> "Browser":
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        read, answers = os.pipe()
        commands, write = os.pipe()
        # Chromium reads commands from descriptor 3 and writes answers to descriptor 4.
        command = [
            "bash",
            "-c",
            f'exec "$@" 3<&{commands} 4>&{answers}',
            "bash",
            str(CHROMIUM),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",
            f"--user-data-dir={self._folder.name}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            command,
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._write, self._read = os.fdopen(write, "wb"), os.fdopen(read, "rb")
        self._reader = threading.Thread(target=self._receive, daemon=True)
        self._reader.start()
        pages = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in pages if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        width, height = self.size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        return self

    def __exit__(self, *error) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._reader.join(20)
        self._write.close()
        self._read.close()
        self._folder.cleanup()

    def _receive(self):
        buffer = b""
        while block := self._read.read1(2**16):
            *messages, buffer = (buffer + block).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers.put(message)
                else:
                    self._notice(message["method"], message["params"])
        self._answers.put(None)

    def _notice(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in (
            "error",
            "warning",
            "assert",
        ):
            self.errors.append(" ".join(str(x.get("value")) for x in params["args"]))
        elif method in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            url = urllib.parse.urlsplit(params.get("url") or params["request"]["url"])
            if url.scheme not in ("data", "blob"):
                self.hosts.add(url.netloc)

    def call(self, method: str, **params):
        """Calls a method of the DevTools protocol and returns its result."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while True:
            answer = self._answers.get(timeout=120)
            if answer is None:
                raise RuntimeError(f"{CHROMIUM} ended before it answered {method}")
            if answer["id"] == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def open(self, url: str) -> None:
        """Opens a page and waits until it is loaded."""
        self.call("Page.navigate", url=url)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def evaluate(self, expression: str):
        """Returns the value of a JavaScript expression, or of its promise."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> None:
        """Waits until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise TimeoutError(f"not true after {seconds} s: {expression}; {self.errors}")
            time.sleep(0.1)

    def drag(self, points: list[tuple[float, float]]) -> None:
        """Moves the pressed mouse along points (x, y) of the window."""
        kinds = ["mousePressed"] + ["mouseMoved"] * (len(points) - 1) + ["mouseReleased"]
        for kind, (x, y) in zip(kinds, [*points, points[-1]], strict=True):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def choose_file(self, selector: str, path: str | os.PathLike) -> None:
        """Gives a file to the file input that a CSS selector names."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screenshot(self, path: str | os.PathLike, whole: bool = True) -> None:
        """Writes a PNG of the page, or of the window."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        Path(path).write_bytes(base64.b64decode(data))


class StaticServer:
    """Context manager: a server of the files in a folder, as a static host. `url` ends in `/`."""

    def __init__(self, folder: str | os.PathLike):
        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

        handler = functools.partial(Handler, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/"

    def __enter__(self) -> "StaticServer":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error) -> None:
        self._server.shutdown()
        self._server.server_close()
