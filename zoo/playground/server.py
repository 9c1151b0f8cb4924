"""The server of the page of `zoo.play`: a WSGI application without file routes, and its limits.

The application answers a fixed set of addresses: the page, its script, its style, and one address
per tab, which loads its model, and per panel. No address or value names a file of the server.

Limits, so that one user cannot bring a public page down: the models compute one request at a time,
few requests wait, a client may have only `PER_CLIENT` of them and `CONNECTIONS_PER_CLIENT`
connections, and the sizes of requests, uploads and results are bounded.
"""

import functools
import json
import socket
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from zoo import lazy
from zoo.playground.panels import NAMES, Tab

markup = lazy.module("kerasgan.report.markup")
reading = lazy.module("kerasgan.io.reading")

BODY = 6 * 2**20  # Bytes of a request: an image of 4 MiB in base64 and some more.
PER_CLIENT = 4  # Requests of one address that are computed or wait.
CONNECTIONS, CONNECTIONS_PER_CLIENT = 200, 20
IDLE_SECONDS = 30
HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
]
FOLDER = Path(__file__).parent

Answer = tuple[str, str, bytes]  # Status, content type and content.


class Busy(Exception):
    """Too many requests. The arguments are the status and the message."""


class Application:
    """WSGI application of the page.

    Args:
        tabs: Tabs of the page.
        queue: Number of requests that may wait or be computed at a time.
    """

    def __init__(self, tabs: list[Tab], queue: int = 16):
        self.tabs, self.queue = tabs, queue
        self.clients: Counter[str] = Counter()
        self.guard, self.turn = threading.Lock(), threading.Lock()
        about = [{"name": tab.name, "model": tab.model} for tab in tabs]
        self.files: dict[str, Answer] = {
            "/": _found("text/html", _asset("index.html")),
            "/play.js": _found("text/javascript", _asset("play.js")),
            "/play.css": _found("text/css", markup.asset("style.css") + _asset("play.css")),
            "/tabs.json": _found("application/json", json.dumps(about)),
        }
        self.functions: dict[str, Callable[[dict], dict]] = {}
        for index, tab in enumerate(tabs):
            self.functions[f"/tabs/{index}"] = tab.about
            for name in NAMES:
                self.functions[f"/tabs/{index}/{name}"] = functools.partial(tab.run, name)

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        status, kind, content = self._answer(environ)
        headers = [*HEADERS, ("Content-Type", f"{kind}; charset=utf-8")]
        start_response(status, [*headers, ("Content-Length", str(len(content)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else content]

    def _answer(self, environ) -> Answer:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if path in self.files:
            if method in ("GET", "HEAD"):
                return self.files[path]
            return _refused("405 Method Not Allowed", "this address is read with GET")
        if path not in self.functions:
            return _refused("404 Not Found", "there is nothing at this address")
        # Other sites' pages may send JSON only after a preflight request, which is refused.
        if method != "POST" or environ.get("CONTENT_TYPE", "").split(";")[0] != "application/json":
            return _refused("405 Method Not Allowed", "this address takes JSON with POST")
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > BODY:
            return _refused("413 Content Too Large", f"a request may have {BODY:,} bytes")
        try:
            body = environ["wsgi.input"].read(int(length))
            answer = self._computed(environ.get("REMOTE_ADDR", ""), self.functions[path], body)
            return _found("application/json", json.dumps(answer))
        except Busy as error:
            return _refused(*error.args)
        except (ValueError, TypeError) as error:
            unknown = isinstance(error, TypeError)  # Values of the wrong type.
            message = "a value has a wrong type" if unknown else reading.one_line(error, 300)
            if unknown:
                traceback.print_exc(file=sys.stderr)
            return _refused("400 Bad Request", message)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return _refused("500 Internal Server Error", "this failed; the server has the details")

    def _computed(self, client, function, body):
        with self.guard:
            if self.clients[client] >= PER_CLIENT:
                raise Busy("429 Too Many Requests", "wait for the answer to your other requests")
            if self.clients.total() >= self.queue:
                raise Busy("503 Service Unavailable", "many people use this page now; try again")
            self.clients[client] += 1
        try:
            received = reading.parse_json(body, "the request")
            if not isinstance(received, dict):
                raise ValueError("a request must be a JSON object")
            with self.turn:
                return function(received)
        finally:
            with self.guard:
                self.clients[client] -= 1
                self.clients += Counter()  # Forgets clients without requests.


def _asset(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def _found(kind, text):
    return "200 OK", kind, text.encode()


def _refused(status, message):
    return status, "application/json", json.dumps({"error": message}).encode()


def create_server(
    application: Application, host: str, port: int, trusted_proxy: str | None = None
) -> Any:
    """Returns a waitress server that listens. `run()` serves until Ctrl-C.

    Args:
        application: The application.
        host: Address to listen at.
        port: Port. 0: a free one.
        trusted_proxy: Address of a reverse proxy, whose `X-Forwarded-For` names the client.

    Raises:
        ImportError: If waitress is not installed.
        OSError: If the port is in use.
    """
    try:
        import waitress
        from waitress.channel import HTTPChannel
    except ImportError:
        raise ImportError(
            "zoo.play needs the package waitress: pip install 'kerasgan[play]'"
        ) from None

    class LimitedChannel(HTTPChannel):
        """Connection that is closed at once if its client has too many."""

        def __init__(self, server, sock, address, *rest, **more):
            super().__init__(server, sock, address, *rest, **more)
            same = [each for each in server.active_channels.values() if each.addr[0] == address[0]]
            if trusted_proxy is None and len(same) > CONNECTIONS_PER_CLIENT:
                self.handle_close()

    options: dict[str, Any] = {
        "threads": application.queue + 4,  # Threads that refuse requests are always free.
        "max_request_body_size": BODY,
        "max_request_header_size": 2**14,
        "connection_limit": CONNECTIONS,
        "channel_timeout": IDLE_SECONDS,
        "cleanup_interval": 5,
        "asyncore_use_poll": True,
        "ident": None,
    }
    if trusted_proxy is not None:
        options |= {
            "trusted_proxy": trusted_proxy,
            "trusted_proxy_headers": {"x-forwarded-for"},
            "clear_untrusted_proxy_headers": True,
        }
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(f"cannot listen at {host}, port {port}: {error.strerror or error}") from None
    server = waitress.create_server(application, sockets=[listening], **options)
    server.channel_class = LimitedChannel
    return server
