"""Hubs: presets come from a server that speaks the hubs' APIs; every failure is one clear line."""

import hashlib
import io
import json
import tarfile

import huggingface_hub
import huggingface_hub.constants
import keras
import numpy as np
import pytest
import yaml

from kerasgan.encoders import text_encoder
from kerasgan.io import archives, checkpoints, hub, limits, presets
from kerasgan.io.paths import cache_folder
from tests.hub_server import HubServer
from zoo import export, sample

URI = "hf://me/toy"


@keras.saving.register_keras_serializable("test_hub_presets")
class Sampler(keras.Model):
    """The least that presets ask of a model."""

    def __init__(self, width=4):
        super().__init__()
        self.width = width
        self.generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width)])

    def checkpoint_networks(self):
        return {"generator": self.generator}

    def get_config(self):
        return {"width": self.width}


@pytest.fixture
def server(monkeypatch, tmp_path):
    with HubServer() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setenv("KAGGLE_API_ENDPOINT", made.url)
        monkeypatch.setenv("KERASGAN_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        presets.save(Sampler(width=5), tmp_path / "toy", card="# toy\n\nDots.\n")
        made.files = {path.name: path.read_bytes() for path in (tmp_path / "toy").iterdir()}
        made.pages = {"/toy.tar.gz": archive(made.files)}
        fetch_again()
        yield made
    fetch_again()


def fetch_again():
    hub.fetch.cache_clear()


def archive(contents, folder="toy/", members=()):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return made.getvalue()


def refused(uri, match, kind=ValueError):
    fetch_again()
    with pytest.raises(kind, match=match) as error:
        presets.load(uri)
    assert "\n" not in str(error.value) and len(str(error.value)) <= 300
    return str(error.value)


# === Names ===


def test_addresses():
    assert hub.is_uri("hf://a/b") and hub.is_uri("s3://a") and not hub.is_uri("runs/x.h5")
    for uri in ("hf://alone", "s3://a/b", "hf://a/../b", "kaggle://a/b", "https://host/x.zip"):
        with pytest.raises(hub.HubError, match="address of a preset must be"):
            hub.fetch(uri)
    for url in (
        "http://example.com/x.tar.gz",
        "file:///etc/x.tar.gz",
        "https://user:pass@example.com/x.tar.gz",
        "http://localhost.example.com/x.tar.gz",
        "https://example.com/x\n.tar.gz",
        "https:///x.tar.gz",
    ):
        with pytest.raises(hub.HubError) as error:
            hub.fetch(url)
        assert "user:pass" not in str(error.value)


def test_secrets_of_an_address_are_not_shown(server):
    message = refused(f"{server.url}/missing.tar.gz?token=secret", "does not exist")
    assert "secret" not in message


# === Hugging Face ===


def test_hugging_face(server):
    server.files["pytorch_model.bin"] = b"code"  # Not a file of a preset.
    model = presets.load(URI, Sampler)
    assert model.width == 5 and presets.card(URI).startswith("# toy")
    assert not any("pytorch" in path for _, path, _ in server.requests)
    assert sum(path.startswith("/api/models") for _, path, _ in server.requests) == 1
    assert presets.network_file(URI).name == "G.h5"
    assert presets.load(f"{URI}@v1").width == 5


def test_tools_take_addresses(server):
    assert sample.load(URI).width == 5
    assert sample.about(URI)["model"] == "Sampler"
    assert export.licence(URI) == "that of the checkpoint's author"
    with pytest.raises(ValueError, match="T"):
        text_encoder(URI)  # A preset of a generator only.


def test_offline_uses_the_cache(server, monkeypatch):
    presets.load(URI)
    server.__exit__()
    fetch_again()
    assert presets.load(URI).width == 5
    monkeypatch.setenv("KERASGAN_CACHE", str(cache_folder() / "other"))
    refused(URI, "hf://me/toy cannot be reached and is not in the cache")


def test_no_network_is_one_line(server):
    server.__exit__()
    refused(URI, "cannot be reached and is not in the cache")
    refused(f"{server.url}/toy.tar.gz", "cannot be reached and is not in the cache")
    refused("kaggle://me/toy/keras/default", "cannot be reached and is not in the cache")


@pytest.mark.parametrize(
    "status, reason",
    [(401, "private or gated"), (403, "private or gated"), (404, "does not exist"), (418, "418")],
)
def test_status(server, status, reason):
    server.status = status
    for uri in (URI, f"{server.url}/toy.tar.gz", "kaggle://me/toy/keras/default/1"):
        message = refused(uri, reason)
        assert str(status) in message and "cannot be read" in message


def test_wrong_checksum_is_deleted_and_fetched_again(server):
    for name, lie in (("G.h5", {"sha256": "0" * 64}), ("card.md", {"blobId": "0" * 40})):
        server.lies = {name: lie}
        refused(URI, f"{name} has another checksum than the hub lists, so it was deleted")
    server.lies = {}
    fetch_again()
    assert presets.load(URI).width == 5


def test_sizes_are_limited_before_the_download(server):
    server.lies = {"G.h5": {"size": archives.LARGEST + 1}}
    refused(URI, "at most 2,147,483,648 are downloaded")
    assert not any("/resolve/" in path for _, path, _ in server.requests)
    server.lies = {"G.h5": {"size": None}}
    refused(URI, "at most")


def test_interrupted_download_is_resumed(server, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    content = server.files["G.h5"] = server.files["G.h5"] + bytes(200_000)
    server.cut = [100_000]
    path = hub.fetch(URI) / "G.h5"
    assert path.read_bytes() == content
    ranges = [header for method, path, header in server.requests if header]
    assert any(header.startswith("bytes=100000") for header in ranges), server.requests


def test_no_preset(server):
    server.files = {"model.safetensors": b"x"}
    refused(URI, "must be a preset of kerasgan, with G.h5 or T.h5")


def test_code_in_a_preset_is_refused(server, tmp_path):
    class Bomb(keras.layers.Layer):
        pass

    for layer, name in (
        (keras.layers.Lambda(lambda x: x), "Lambda"),
        (Bomb(), "Bomb"),
    ):
        model = Sampler()
        model.generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), layer])
        presets.save(model, tmp_path / name)
        server.files = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        server.lies = {}
        folder = hub_folder(server)
        with pytest.raises(checkpoints.CheckpointError, match=name) as error:
            checkpoints.load_network(folder / "G.h5")
        assert "\n" not in str(error.value)


def hub_folder(server):
    server.pages["/code.tar.gz"] = archive(server.files)
    fetch_again()
    return hub.fetch(f"{server.url}/code.tar.gz")


def test_a_file_may_not_name_an_address():
    with pytest.raises(ValueError, match="must not name the address of a text encoder"):
        presets.check_own_name("http://localhost/x.tar.gz")
    assert presets.check_own_name("synthetic_birds_text") == "synthetic_birds_text"


# === Archives ===


def test_archive(server):
    url = f"{server.url}/toy.tar.gz"
    digest = hashlib.sha256(server.pages["/toy.tar.gz"]).hexdigest()
    assert presets.load(f"{url}#sha256={digest}").width == 5
    assert presets.load(url).width == 5
    server.requests.clear()
    fetch_again()
    assert presets.load(url).width == 5  # The server answers "not modified".
    assert presets.load(f"{url}#sha256={digest}").width == 5  # Needs no request.
    assert len(server.requests) == 1
    server.__exit__()
    fetch_again()
    assert presets.load(url).width == 5
    refused(f"{server.url}/toy.tar.gz?other", "cannot be reached")


def test_changed_archive_is_fetched_again(server, tmp_path):
    url = f"{server.url}/toy.tar.gz"
    assert presets.load(url).width == 5
    presets.save(Sampler(width=7), tmp_path / "seven")
    content = {path.name: path.read_bytes() for path in (tmp_path / "seven").iterdir()}
    server.pages["/toy.tar.gz"] = archive(content)
    fetch_again()
    assert presets.load(url).width == 7


def test_archive_with_a_wrong_checksum(server):
    refused(f"{server.url}/toy.tar.gz#sha256={'0' * 64}", "must have the sha256 000")
    refused(f"{server.url}/toy.tar.gz#sha256={'0' * 64}", "must have the sha256 000")
    assert list((cache_folder() / "archives").glob("*.part")) == []


def test_archive_is_resumed(server):
    size = len(server.pages["/toy.tar.gz"])
    server.cut = [size // 2]
    assert presets.load(f"{server.url}/toy.tar.gz").width == 5
    assert [header for _, _, header in server.requests] == [None, f"bytes={size // 2}-"]


def test_archive_is_resumed_by_the_next_process(server):
    url, size = f"{server.url}/toy.tar.gz", len(server.pages["/toy.tar.gz"])
    server.cut = [size // 2, 10, 10]
    refused(url, "incomplete: the connection was closed early; run it again to resume")
    server.requests.clear()
    fetch_again()
    assert presets.load(url).width == 5
    assert server.requests[0][2] == f"bytes={size // 2 + 20}-"


def test_archive_that_changes_during_a_resumed_download(server):
    url, size = f"{server.url}/toy.tar.gz", len(server.pages["/toy.tar.gz"])
    server.cut = [size // 2, 10, 10]
    refused(url, "incomplete")
    server.pages["/toy.tar.gz"] = archive(server.files, "other/")
    fetch_again()
    assert presets.load(url).width == 5


def test_archive_without_entity_tags(server):
    server.etags, server.cut = False, [100]
    assert presets.load(f"{server.url}/toy.tar.gz").width == 5
    assert [header for _, _, header in server.requests] == [None, None]


def link(kind, name="toy/G.h5", target="/etc/passwd"):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def named(name, size=3):
    member = tarfile.TarInfo(name)
    member.size = size
    return member


@pytest.mark.parametrize(
    "member, reason",
    [
        (link(tarfile.SYMTYPE), "not a regular file"),
        (link(tarfile.LNKTYPE), "not a regular file"),
        (link(tarfile.CHRTYPE), "not a regular file"),
        (link(tarfile.BLKTYPE), "not a regular file"),
        (link(tarfile.FIFOTYPE), "not a regular file"),
        (named("/tmp/G.h5"), "a path outside its folder"),
        (named("toy/../../G.h5"), "a path outside its folder"),
        (named("toy\\..\\G.h5"), "a path outside its folder"),
        (named("other/G.h5"), "G.h5 twice"),
    ],
)
def test_hostile_archives(server, tmp_path, member, reason):
    server.pages["/bad.tar.gz"] = archive(server.files, members=[member])
    refused(f"{server.url}/bad.tar.gz", reason)
    left = [path.name for path in (cache_folder() / "archives").iterdir() if path.is_dir()]
    assert all(len(name) == 16 for name in left)  # Folders of locks; nothing unpacked is left.


def test_other_files_are_not_unpacked(server):
    members = [named("toy/setup.py"), named("toy/deep/er/T.h5"), named("toy/.bashrc")]
    server.pages["/more.tar.gz"] = archive(server.files, members=members)
    folder = hub.fetch(f"{server.url}/more.tar.gz")
    assert sorted(path.name for path in folder.iterdir()) == ["G.h5", "card.md"]


def test_bombs(server, monkeypatch):
    monkeypatch.setattr(limits, "FLOOR", 2**20)
    server.pages["/bomb.tar.gz"] = archive({}, members=[named("toy/setup.py", 2**23)])
    refused(f"{server.url}/bomb.tar.gz", "it unpacks to more than 1,048,576 bytes")
    many = [named(f"toy/{i}", 0) for i in range(archives.MEMBERS + 1)]
    server.pages["/many.tar.gz"] = archive({}, members=many)
    refused(f"{server.url}/many.tar.gz", "more than 1000 files")
    monkeypatch.setattr(archives, "LARGEST", 100)
    refused(f"{server.url}/toy.tar.gz", "at most 100 are downloaded")


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x1f\x8b\x08", None])
def test_damaged_archives(server, content):
    whole = server.pages["/toy.tar.gz"]
    server.pages["/bad.tar.gz"] = whole[:-40] if content is None else content
    refused(f"{server.url}/bad.tar.gz", "must be a complete .tar.gz archive|must be a preset")


def test_redirects_stay_safe(server):
    server.redirects = {"/a.tar.gz": "file:///etc/passwd", "/b.tar.gz": "http://example.com/"}
    for name in "ab":
        refused(f"{server.url}/{name}.tar.gz", "a download must be https|HTTP error .302.")
    server.redirects = {"/c.tar.gz": f"{server.url}/toy.tar.gz"}
    assert presets.load(f"{server.url}/c.tar.gz").width == 5


@pytest.mark.parametrize(
    "answer, reason",
    [
        (b"", "cannot be reached"),
        (b"nonsense\r\n\r\n", "cannot be reached"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "incomplete"),
        (b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 7-9/10\r\n\r\nabc", "another range"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", "incomplete"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nabc", "are downloaded"),
    ],
)
def test_broken_answers(server, answer, reason):
    server.raw["/x.tar.gz"] = answer
    refused(f"{server.url}/x.tar.gz", reason)


def test_slow_downloads_are_given_up(server, monkeypatch):
    monkeypatch.setattr(archives, "SECONDS", -1)
    monkeypatch.setattr(archives, "SLOWEST", 1e12)
    refused(f"{server.url}/toy.tar.gz", "too slow")


# === Kaggle ===


def test_kaggle(server, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "secret")
    base = "/api/v1/models/me/toy/keras/default"
    server.redirects = {f"{base}/3/download": f"{server.url}/toy.tar.gz"}
    assert presets.load("kaggle://me/toy/keras/default").width == 5
    assert [path for _, path, _ in server.requests] == [
        f"{base}/get",
        f"{base}/3/download",
        "/toy.tar.gz",
    ]
    assert server.secret is None  # The server behind the redirect does not receive it.
    server.__exit__()
    fetch_again()
    assert presets.load("kaggle://me/toy/keras/default").width == 5


# === Upload ===


def test_upload(server, tmp_path):
    (tmp_path / "toy" / "secrets.txt").write_text("secret")
    model = tmp_path / "digits"
    source = presets.find("mnist_gan_digits")
    presets.save(presets.load(source), model, card=presets.card(source), info={"scores": SCORES})
    (model / "id_rsa").write_text("secret")
    page = presets.upload_preset(URI, model)
    assert page == f"{server.url}/me/toy"
    assert sorted(server.uploaded) == ["G.h5", "README.md", "card.md"]
    header, text = server.uploaded["README.md"].decode().split("---\n")[1:3]
    values = yaml.safe_load(header)
    assert values["library_name"] == "keras" and values["license"] == "apache-2.0"
    assert values["pipeline_tag"] == "unconditional-image-generation"
    assert {"kerasgan", "gan", "conditionalgan"} <= set(values["tags"])
    metrics = values["model-index"][0]["results"][0]["metrics"]
    assert metrics == [{"type": "label_accuracy", "name": "label_accuracy", "value": 0.9874}]
    assert 'kerasgan.models.ConditionalGAN.from_preset("hf://me/toy")' in text
    huggingface_hub.ModelCard(server.uploaded["README.md"].decode()).validate  # noqa: B018
    assert huggingface_hub.ModelCardData(**yaml.safe_load(header)).library_name == "keras"
    server.files = server.uploaded
    fetch_again()
    again = presets.load(URI)
    np.testing.assert_array_equal(
        again.sample(labels=[3], seed=0), presets.load(model).sample(labels=[3], seed=0)
    )


SCORES = {"label_accuracy": 0.98741, "protocol": {"x": "y"}}


def test_upload_is_refused(server, tmp_path):
    toy = tmp_path / "digits"
    presets.save(presets.load("mnist_gan_digits"), toy)
    for uri in ("hf://me/toy@v1", "https://host/x.tar.gz", "me/toy"):
        with pytest.raises(hub.HubError, match="target of an upload must be hf://owner/name or"):
            presets.upload_preset(uri, toy)
    server.status = 403
    with pytest.raises(hub.HubError, match="refuses the upload .403.: log in"):
        presets.upload_preset(URI, toy)
    (toy / "G.h5").write_bytes((toy / "G.h5").read_bytes()[:-100])
    server.requests.clear()
    with pytest.raises(ValueError, match="G.h5"):
        presets.upload_preset(URI, toy)
    assert not server.requests


def test_upload_command(server, capsys):
    from zoo import upload

    options = upload.Options(checkpoint="mnist_gan_digits", uri=URI, dry_run=True)
    upload.command(options)
    shown = capsys.readouterr().out
    assert not server.requests and not server.uploaded
    assert "![Samples](samples.png)" in shown and "nothing is uploaded" in shown
    upload.command(upload.Options(checkpoint="mnist_gan_digits", uri=URI))
    assert {"samples.png", "README.md", "G.h5"} <= set(server.uploaded)
    assert f"uploaded to {server.url}/me/toy" in capsys.readouterr().out
    upload.command(upload.Options(checkpoint="synthetic_birds_text", uri=URI, dry_run=True))
    shown = capsys.readouterr().out
    assert "feature-extraction" in shown and "samples.png" not in shown
    with pytest.raises(ValueError, match="--uri must be given"):
        upload.command(upload.Options(checkpoint="mnist_gan_digits"))


def test_records_of_the_cache_are_checked(server):
    presets.load(URI)
    record = next((cache_folder() / "hf").glob("*.json"))
    record.write_text(json.dumps({"files": []})[:-3])
    server.__exit__()
    refused(URI, "a record of the cache must be JSON")


@pytest.mark.parametrize("name", presets.names())
def test_no_file_of_a_shipped_preset_is_lost_on_the_way(name):
    files = [path.name for path in presets.find(name).iterdir()]
    assert files and all(archives.FILES.fullmatch(file) for file in files)
