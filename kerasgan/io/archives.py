"""Download and unpacking of `.tar.gz` archives from strangers.

Every step is bounded: the protocol (HTTPS, or HTTP of this machine), the size of the download and
of what it unpacks to, the time, the number of files, and their names. Only regular files with the
name of a preset's file are unpacked. An archive with links, devices or paths out of its folder is
refused.
"""

import gzip
import http.client
import io
import re
import shutil
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path, PurePosixPath
from typing import Any

from kerasgan.io import files
from kerasgan.io.limits import MIB, SECONDS, Budget, LimitExceededError
from kerasgan.io.reading import one_line, reading

LARGEST = 2048 * MIB  # Largest download, and largest content, of a preset in bytes.
SLOWEST = 2**15  # Bytes per second below which a download is given up.
MEMBERS = 1000  # Largest number of files in an archive.
TIMEOUT = 20  # Seconds without an answer.
ATTEMPTS = 3
BROKEN = (OSError, http.client.HTTPException)  # Errors of a connection.
# Files of a preset. No other file is downloaded or unpacked; an upload adds README.md.
FILES = re.compile(
    r"[A-Z][A-Za-z0-9]{0,15}\.h5|card\.md|settings\.json|log\.(csv|json)|"
    r"vocabulary\.txt|samples\.png|attributes\.npz"
)
HERE = ("localhost", "127.0.0.1", "::1")


class HubError(ValueError):
    """A preset could not be fetched or uploaded. The message is one line."""


class NoNetworkError(HubError):
    """The host could not be reached."""


def shown(url: str) -> str:
    """Returns a URL for messages, without the query and the fragment, which may contain secrets."""
    return one_line(re.split(r"[?#]", str(url))[0], 120)


def check_url(url: str) -> str:
    """Returns a URL that may be opened: HTTPS, or HTTP of this machine, without credentials."""
    parts = urllib.parse.urlsplit(url)
    secure = parts.scheme == "https" or parts.scheme == "http" and parts.hostname in HERE
    if not secure or not parts.hostname or "@" in parts.netloc or not url.isprintable():
        host = parts.hostname or ""
        raise HubError(
            "a download must be https://host/... without a user name (http:// is for localhost); "
            f"received {one_line(f'{parts.scheme}://{host}{parts.path}', 120)}"
        )
    return url


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request, file, code, message, headers, url):
        file.close()
        return super().redirect_request(request, file, code, message, headers, check_url(url))


def status_error(what: str, status: int) -> HubError:
    """Returns the error for an HTTP status."""
    reasons = {
        401: "it is private or gated, or does not exist: log in with an account that may read it",
        403: "it is private or gated: ask its owner for access and log in",
        404: "it does not exist",
        429: "the server receives too many requests: wait and run it again",
    }
    return HubError(f"{what} cannot be read: {reasons.get(status, 'HTTP error')} ({status})")


def open_url(url: str, what: str, headers: dict[str, str], secret: str | None = None) -> Any:
    """Opens a URL. `secret` is the Authorization header, which redirects do not receive.

    Raises:
        NoNetworkError: The host could not be reached.
        HubError: The URL is not allowed, or the server refuses it.
    """
    request = urllib.request.Request(
        check_url(url), headers={"User-Agent": "kerasgan", "Accept-Encoding": "identity", **headers}
    )
    if secret:
        request.add_unredirected_header("Authorization", secret)
    try:
        return urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code in (304, 416):
            return error
        error.close()
        raise status_error(what, error.code) from None
    except BROKEN as error:
        reason = one_line(getattr(error, "reason", error) or type(error).__name__, 80)
        raise NoNetworkError(
            f"{what} cannot be reached and is not in the cache ({reason})"
        ) from None


def download(
    url: str, part: Path, state: dict, *, etag: str | None = None, secret: str | None = None
) -> bool:
    """Downloads a file, or the rest of it. Returns `False` if the server's file has this `etag`.

    Args:
        url: URL of the file.
        part: Path of the partial file. Its content is not downloaded again.
        state: Dict that keeps the `etag` of the partial file between calls.
        etag: Entity tag of a complete earlier download.
        secret: Authorization header.

    Raises:
        HubError: The file is too large, too slow or incomplete, or the server refuses it.
    """
    what = shown(url)
    for _ in range(ATTEMPTS):
        there = part.stat().st_size if part.exists() and state.get("etag") else 0
        headers = {"If-None-Match": etag} if etag and not there else {}
        if there:
            headers = {"Range": f"bytes={there}-", "If-Range": state["etag"]}
        with open_url(url, what, headers, secret) as response:
            if response.status == 304 and "If-None-Match" in headers:
                return False
            start = f"bytes {there}-"
            if (
                response.status == 206
                and response.headers.get("Content-Range", "")[: len(start)] != start
            ):
                raise HubError(f"{what} cannot be read: the server sends another range of the file")
            if response.status in (304, 416):  # The partial file is not a part of the server's.
                part.unlink(missing_ok=True)
                continue
            if response.status != 206:
                there = 0
            found = response.headers.get("ETag")
            state["etag"] = found if found and not found.startswith("W/") else None
            length = response.headers.get("Content-Length", "")
            total = there + int(length) if length.isdecimal() else None
            if _received(response, part, there, total, what):
                return True
    raise HubError(f"{what} is incomplete: the connection was closed early; run it again to resume")


def _received(response, part, there, total, what):
    """Writes a response to the partial file. Returns whether it is complete."""
    if (total or 0) > LARGEST:
        raise LimitExceededError(f"{what} has {total:,} bytes; at most {LARGEST:,} are downloaded")
    begin, size = time.monotonic(), there
    with files.write_errors(part), open(part, "ab" if there else "wb") as file:
        while True:
            try:
                block = response.read(2**16)
            except BROKEN:
                return False
            if not block:
                return total is None or size == total
            size += len(block)
            if size > LARGEST:
                raise LimitExceededError(
                    f"{what} has more than {LARGEST:,} bytes; no more are downloaded"
                )
            if time.monotonic() - begin > SECONDS + (size - there) / SLOWEST:
                raise HubError(f"{what} is too slow: less than {SLOWEST:,} bytes per second")
            file.write(block)


class _Bounded(io.RawIOBase):
    """Readable file of limited size."""

    def __init__(self, file, budget):
        super().__init__()
        self.file, self.budget, self.size = file, budget, 0
        self.most = min(budget.unpacked, LARGEST)

    def read(self, size=-1):
        data = self.file.read(size)
        self.size += len(data)
        if self.size > self.most:
            raise LimitExceededError(f"it unpacks to more than {self.most:,} bytes")
        self.budget.tick("the archive")
        return data


def unpack(archive: Path, folder: Path, what: str) -> list[str]:
    """Unpacks the files of a preset, at the top or in one folder of an archive.

    Args:
        archive: Path of the `.tar.gz` file.
        folder: Folder that receives the files.
        what: Name of the archive in messages.

    Returns:
        The names of the unpacked files.

    Raises:
        ValueError: The archive is damaged, unsafe or too large.
    """
    budget, names = Budget(archive.stat().st_size), []
    with (
        reading(what, "a preset must be a complete .tar.gz archive without links", HubError),
        gzip.open(archive) as plain,
        tarfile.open(fileobj=_Bounded(plain, budget), mode="r|") as tar,
    ):
        for count, member in enumerate(tar):
            name = safe_name(member, count)
            if name in names:
                raise HubError(f"it contains {name} twice")
            if name:
                files.write_atomically(folder / name, _copier(tar.extractfile(member)))
                names.append(name)
    return names


def _copier(content):
    return lambda file: shutil.copyfileobj(content, file)


def safe_name(member: tarfile.TarInfo, count: int = 0) -> str | None:
    """Returns the name under which a member is unpacked, or `None` for other files and folders.

    Raises:
        HubError: The member is not a regular file or leaves the folder.
    """
    name, path = one_line(member.name, 60), PurePosixPath(member.name)
    if count >= MEMBERS:
        raise HubError(f"it contains more than {MEMBERS} files")
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise HubError(f"it contains {name!r}, a path outside its folder")
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        raise HubError(f"it contains {name!r}, which is not a regular file")
    return path.name if len(path.parts) <= 2 and FILES.fullmatch(path.name) else None
