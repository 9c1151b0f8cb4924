"""HTTP server that speaks as much of the APIs of Hugging Face and Kaggle as the tests need."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer:
    """Context manager: a server of one repository, and of files.

    Attributes:
        files: Dict from name to content of the repository `me/toy`.
        pages: Dict from path to content of plain files, such as archives.
        lies: Dict from name to a checksum or size that the listing gives instead of the true one.
        status: If not `None`, every answer has this status.
        cut: Number of bytes after which the next answers break off; used up one by one.
        redirects: Dict from path to another URL.
        raw: Dict from path to bytes that are sent in place of an answer.
        etags: Whether answers have entity tags.
        requests: List of `(method, path, Range header)`.
        uploaded: Dict from name to content of the last commit.
    """

    def __init__(self):
        self.files, self.pages, self.lies, self.uploaded = {}, {}, {}, {}
        self.status, self.cut, self.requests, self.etags = None, [], [], True
        self.redirects, self.raw = {}, {}

    def __enter__(self):
        hub = self

        class Handler(_Handler):
            server_of_test = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()

    def listing(self):
        siblings = []
        for name, content in self.files.items():
            entry = {
                "rfilename": name,
                "size": len(content),
                "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
            }
            if name.endswith(".h5"):
                entry["lfs"] = {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                    "pointerSize": 134,
                }
            for key, value in self.lies.get(name, {}).items():
                (entry["lfs"] if key == "sha256" else entry)[key] = value
            siblings.append(entry)
        return {
            "id": "me/toy",
            "modelId": "me/toy",
            "sha": COMMIT,
            "siblings": siblings,
            "tags": [],
        }


class _Handler(BaseHTTPRequestHandler):
    server_of_test: HubServer

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.answer()

    def do_HEAD(self):
        self.answer()

    def do_POST(self):
        hub = self.server_of_test
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.requests.append(("POST", self.path, self.headers.get("Authorization")))
        if hub.status:
            return self.send(b"{}", hub.status)
        if self.path == "/api/repos/create":
            return self.send_json({"url": f"{hub.url}/me/toy", "name": "me/toy"})
        if "/preupload/" in self.path:
            names = [entry["path"] for entry in json.loads(body)["files"]]
            return self.send_json(
                {
                    "files": [
                        {"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names
                    ]
                }
            )
        if "/commit/" in self.path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    value = entry["value"]
                    hub.uploaded[value["path"]] = base64.b64decode(value["content"])
            return self.send_json(
                {"commitUrl": f"{hub.url}/me/toy/commit/{COMMIT}", "commitOid": COMMIT}
            )
        return self.send(b"{}", 200)

    def send_json(self, value, status=200):
        self.send(json.dumps(value).encode(), status, {"Content-Type": "application/json"})

    def answer(self):
        hub, path = self.server_of_test, self.path.partition("?")[0]
        hub.requests.append((self.command, path, self.headers.get("Range")))
        hub.secret = self.headers.get("Authorization")
        if hub.status:
            return self.send(b'{"error": "no"}', hub.status, {"X-Error-Message": "no"})
        if path in hub.raw:
            self.close_connection = True
            return self.wfile.write(hub.raw[path])
        if path in hub.redirects:
            return self.send(b"", 302, {"Location": hub.redirects[path]})
        if path.startswith("/api/models/me/toy"):
            return self.send_json(hub.listing())
        if path.startswith("/api/v1/models/") and path.endswith("/get"):
            return self.send_json({"versionNumber": 3})
        content = hub.pages.get(path)
        if content is None and path.startswith("/me/toy/resolve/"):
            content = hub.files.get(path.rpartition("/")[2])
        if content is None:
            return self.send(b"", 404, {"X-Error-Code": "EntryNotFound"})
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        headers |= {"ETag": etag} if hub.etags else {}
        if self.headers.get("If-None-Match") == etag:
            return self.send(b"", 304, headers)
        wanted, status = self.headers.get("Range"), 200
        if wanted and self.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        self.send(content, status, headers)

    def send(self, content, status, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        hub = self.server_of_test
        if self.command == "HEAD":
            return
        if hub.cut and status in (200, 206) and len(content) > hub.cut[0]:
            content = content[: hub.cut.pop(0)]
            self.close_connection = True
        self.wfile.write(content)
