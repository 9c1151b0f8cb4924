"""Presets of hubs: `hf://owner/name`, `kaggle://owner/model/framework/variation`, or a `.tar.gz`.

    hf://owner/name, hf://owner/name@revision             Hugging Face (pip install kerasgan[hub])
    kaggle://owner/model/framework/variation[/version]    Kaggle
    https://host/path/preset.tar.gz[#sha256=...]          any web server

Files of a hub are untrusted. Only files with the name of a preset's file are fetched
(`archives.FILES`), their sizes are limited and their checksums verified, and the readers of
`kerasgan.io` run no code of a file. A fetched preset also works without a network. Each
address is looked up once per process.

Environment: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `KAGGLE_API_TOKEN` (or `KAGGLE_USERNAME` and
`KAGGLE_KEY`), `KAGGLE_API_ENDPOINT`, `KERASGAN_CACHE`.
"""

import base64
import functools
import hashlib
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasgan.io import archives, files, locks
from kerasgan.io.archives import FILES, LARGEST, HubError, NoNetworkError, shown
from kerasgan.io.limits import LimitExceededError
from kerasgan.io.paths import cache_folder
from kerasgan.io.reading import one_line, parse_json, read_json, sha256

HF = re.compile(r"hf://(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")
KAGGLE = re.compile(r"kaggle://(?P<handle>[\w-]+/[\w.-]+/\w+/[\w.-]+)(/(?P<version>\d+))?")
ARCHIVE = re.compile(r"https?://[^#]+?\.(tar\.gz|tgz)(\?[^#]*)?(#sha256=(?P<sha256>[0-9a-f]{64}))?")
RULE = (
    "the address of a preset must be hf://owner/name, kaggle://owner/model/framework/variation or "
    "https://host/name.tar.gz"
)


def is_uri(name: str | os.PathLike) -> bool:
    """Returns whether a name is an address of a hub or of a web server, not a path."""
    return re.match(r"[a-z][a-z0-9+.-]*://", str(name)) is not None


@functools.lru_cache
def fetch(uri: str) -> Path:
    """Returns the local folder of a preset, after a download if necessary.

    Args:
        uri: Address, see the module.

    Raises:
        HubError: In one line. The address is wrong, or the preset does not exist, may not be read,
            is damaged, or is neither reachable nor in the cache.
        LimitExceededError: The preset is too large.
        ImportError: huggingface_hub is not installed.
    """
    if match := HF.fullmatch(uri):
        return _hugging_face(uri, match["repository"], match["revision"])
    if match := KAGGLE.fullmatch(uri):
        return _kaggle(uri, match["handle"], match["version"])
    if match := ARCHIVE.fullmatch(uri):
        return _archive(uri, lambda: uri.partition("#")[0], match["sha256"])
    raise HubError(f"{RULE}; received {shown(uri)}")


def _library(name, extra):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"this needs the package {name}: pip install 'kerasgan[{extra}]' ({error})"
        ) from None


# === Hugging Face ===


def _api(hub):
    return hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


def _status(error):
    return getattr(getattr(error, "response", None), "status_code", None)


def _hugging_face(uri, repository, revision):
    hub = _library("huggingface_hub", "hub")
    record = cache_folder() / "hf" / f"{uri.removeprefix('hf://').replace('/', '--')}.json"
    try:
        info = _api(hub).model_info(
            repository, revision=revision, files_metadata=True, timeout=archives.TIMEOUT
        )
        listing, offline = _listing(uri, info), False
    except HubError:
        raise
    except Exception as error:  # The types of network errors depend on the version.
        if _status(error):
            raise archives.status_error(uri, _status(error)) from None
        if not record.is_file():
            raise NoNetworkError(
                f"{uri} cannot be reached and is not in the cache ({one_line(error, 80)})"
            ) from None
        listing, offline = read_json(record, "a record of the cache must be JSON", HubError), True
    paths = [
        _hf_file(hub, uri, repository, listing["commit"], name, entry, offline)
        for name, entry in listing["files"].items()
    ]
    if not offline:
        files.make_folder(record.parent)
        files.write_json(record, listing)
    return paths[0].parent


def _listing(uri, info):
    """Returns the commit, and the size and checksum of each file of the preset."""
    found = {
        file.rfilename: {
            "size": file.size,
            "sha256": file.lfs.sha256 if file.lfs else None,
            "blob": file.blob_id,
        }
        for file in info.siblings or ()
        if FILES.fullmatch(file.rfilename)
    }
    _check_kind(uri, found)
    total = sum(LARGEST + 1 if entry["size"] is None else entry["size"] for entry in found.values())
    if total > LARGEST:
        raise LimitExceededError(f"{uri} has {total:,} bytes; at most {LARGEST:,} are downloaded")
    return {"commit": info.sha, "files": found}


def _check_kind(uri, names):
    if not {"G.h5", "T.h5"} & set(names):
        raise HubError(
            f"{shown(uri)} must be a preset of kerasgan, with G.h5 or T.h5; it contains neither"
        )


def _hf_file(hub, uri, repository, commit, name, entry, offline):
    """Downloads one file and verifies it. A damaged file is deleted."""
    try:
        path = Path(
            hub.hf_hub_download(
                repository,
                name,
                revision=commit,
                endpoint=os.environ.get("HF_ENDPOINT") or None,
                local_files_only=offline,
            )
        )
    except Exception as error:
        if _status(error):
            raise archives.status_error(f"{uri}/{name}", _status(error)) from None
        why = "it is not in the cache" if offline else "run it again to resume"
        raise NoNetworkError(
            f"{uri}/{name} is incomplete: {why} ({one_line(error, 100)})"
        ) from None
    if not _matches(path, entry):
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise HubError(
            f"{uri}/{name} has another checksum than the hub lists, so it was deleted; run it again"
        )
    return path


def _matches(path, entry):
    if path.stat().st_size != entry["size"]:
        return False
    if entry["sha256"]:
        return sha256(path) == entry["sha256"]
    content = path.read_bytes()  # A small file, whose checksum is that of git.
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == entry["blob"]


# === Archives ===


def _kaggle(uri, handle, version):
    base = os.environ.get("KAGGLE_API_ENDPOINT", "https://www.kaggle.com").rstrip("/")
    base, secret = f"{base}/api/v1/models/{handle}", _kaggle_secret()

    def url():
        number = version
        if number is None:
            with archives.open_url(f"{base}/get", uri, {}, secret) as response:
                answer = parse_json(response.read(2**20), "the answer of Kaggle")
            number = answer.get("versionNumber") if isinstance(answer, dict) else None
            if not isinstance(number, int):
                raise HubError(f"{uri} has no version that can be downloaded")
        return f"{base}/{number}/download"

    return _archive(uri, url, None, secret)


def _kaggle_secret():
    """Returns the Authorization header of the environment, or `None`. Public models need none."""
    if token := os.environ.get("KAGGLE_API_TOKEN"):
        return f"Bearer {token}"
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    if user and key:
        return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()
    return None


def _archive(uri, url: Callable[[], str], checksum, secret=None) -> Path:
    """Downloads and unpacks an archive into a folder named after its checksum."""
    base = cache_folder() / "archives"
    name = hashlib.sha256(uri.encode()).hexdigest()[:16]
    part, record = base / f"{name}.part", base / f"{name}.json"
    with locks.locked(base / name):
        known = _record(record)
        folder = base / known["sha256"] if known.get("sha256") else None
        if folder is None or not folder.is_dir():
            folder, known["etag"] = None, None
        if folder and checksum:  # The address fixes the content.
            return folder
        state = {"etag": known.get("part_etag")}
        try:
            changed = archives.download(url(), part, state, etag=known.get("etag"), secret=secret)
        except NoNetworkError:
            if folder:
                return folder
            raise
        finally:
            files.write_json(record, known | {"part_etag": state["etag"]})
        if not changed and folder:
            return folder
        digest = sha256(part)
        try:
            if checksum not in (None, digest):
                raise HubError(f"{shown(uri)} must have the sha256 {checksum}; received {digest}")
            if not (base / digest).is_dir():
                with files.new_folder(base / digest) as temporary:
                    _check_kind(uri, archives.unpack(part, temporary, shown(uri)))
        finally:
            part.unlink(missing_ok=True)
        files.write_json(record, {"sha256": digest, "etag": state["etag"]})
        return base / digest


def _record(path):
    if not path.is_file():
        return {}
    return read_json(path, "a record of the cache must be JSON", HubError, dict)


# === Upload ===


def check_target(uri: str) -> str:
    """Returns an address that `upload` accepts. Raises `HubError` for others."""
    hugging_face, kaggle = HF.fullmatch(uri), KAGGLE.fullmatch(uri)
    if hugging_face and not hugging_face["revision"] or kaggle and not kaggle["version"]:
        return uri
    raise HubError(
        "the target of an upload must be hf://owner/name or "
        f"kaggle://owner/model/framework/variation; received {shown(uri)}"
    )


def upload(uri: str, folder: Path, private: bool = False) -> str:
    """Uploads all files of a folder in one commit. Returns the address of the page.

    Args:
        uri: `hf://owner/name` or `kaggle://owner/model/framework/variation`.
        folder: Folder that contains nothing but the files to upload.
        private: If `True`, a new Hugging Face repository is private.

    Raises:
        HubError: The hub cannot be reached or refuses the upload.
        ImportError: The client of the hub is not installed.
    """
    check_target(uri)
    handle = uri.partition("://")[2]
    if uri.startswith("hf://"):
        hub = _library("huggingface_hub", "hub")

        def send() -> Any:
            api = _api(hub)
            api.create_repo(handle, private=private, exist_ok=True)
            return api.upload_folder(
                repo_id=handle, folder_path=folder, commit_message="Upload a preset of kerasgan"
            )
    else:
        kaggle = _library("kagglehub", "kaggle")

        def send() -> Any:
            return kaggle.model_upload(handle, str(folder), "Apache 2.0")

    try:
        send()
    except Exception as error:  # Each hub raises its own types.
        if _status(error) in (401, 403):
            raise HubError(
                f"{uri} refuses the upload ({_status(error)}): log in with an account that may "
                "write there (hf auth login or HF_TOKEN; KAGGLE_API_TOKEN)"
            ) from None
        raise HubError(f"{uri} could not be uploaded ({one_line(error, 150)})") from None
    host = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return (
        f"{host}/{handle}" if uri.startswith("hf://") else f"https://www.kaggle.com/models/{handle}"
    )
