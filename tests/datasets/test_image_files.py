import importlib
import os
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from kerasgan.datasets import image_files, image_source_files, image_stream
from kerasgan.datasets.caption_folder import caption_folder
from kerasgan.datasets.folder import load_folder
from kerasgan.datasets.image_files import (
    UnreadableImage,
    check_name,
    find_images,
    jpeg_quality,
    read_image,
)

image_source = importlib.import_module("kerasgan.datasets.image_source")
RED, WHITE = [255, 0, 0], [255, 255, 255]


def put(path, colour=(255, 0, 0), size=(4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def names(folder):
    return [file.relative_to(folder).as_posix() for file in find_images(folder).files]


# === The walker ===


def test_links_are_followed_and_cycles_end(tmp_path):
    folder, outside = tmp_path / "set", tmp_path / "outside"
    for name in ("a/1.png", "b/2.png"):
        put(folder / name)
    put(outside / "deep/3.png")
    (folder / "linked").symlink_to(outside)
    (folder / "a/loop").symlink_to(folder)
    (folder / "a/itself").symlink_to(".")
    (folder / "a/to_b").symlink_to("../b")  # b's images are b's, though a comes first
    (outside / "back").symlink_to(folder)
    (folder / "b/4.png").symlink_to(outside / "deep/3.png")
    (folder / "b/5.png").symlink_to("nowhere.png")
    (folder / "b/6.png").symlink_to("6.png")
    assert names(folder) == ["a/1.png", "b/2.png", "b/4.png", "linked/deep/3.png"]
    assert find_images(folder).skipped == {"links to folders visited before": 4, "broken links": 2}
    images, labels, kinds = load_folder(folder, size=4)
    assert labels.tolist() == [0, 1, 1, 2] and kinds == ["a", "b", "linked"]


def test_what_is_no_image_is_skipped_counted_and_said(tmp_path, capsys):
    for name in (
        "a.png",
        "b.JPG",
        "c.jpeg",
        "d.webp",
        "e.bmp",
        "f.gif",
        "g.tif",
        "h.TIFF",
        "sub/i.png",
    ):
        put(tmp_path / name)
    for name in (".hidden.png", ".cache/x.png", "__MACOSX/x.png"):
        put(tmp_path / name)
    (tmp_path / "e.png").touch()
    for name in ("._a.png", "Thumbs.db", "notes.txt", "z.heic"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    found = find_images(tmp_path)
    assert len(found) == 9 and names(tmp_path) == sorted(names(tmp_path))
    assert found.skipped == {
        "hidden files or folders": 3,
        "system files or folders": 2,
        "files of other formats": 2,
        "empty files": 1,
        "special files": 1,
    }
    assert len(image_source.image_source(tmp_path).fingerprint()) and "\n" not in str(found)
    images, _, _ = load_folder(tmp_path, need_classes=False)
    told = capsys.readouterr().err
    assert (
        len(images) == 9
        and told.count("\n") == 1
        and "9 files found; skipped 1 empty files, 2 files of" in told
    )


def test_all_readers_find_the_same_files(tmp_path):
    from zoo.inception import class_folders

    for index, suffix in enumerate(image_files.SUFFIXES):
        put(tmp_path / f"set/{'ab'[index % 2]}/{index}{suffix}")
        (tmp_path / f"set/{'ab'[index % 2]}/{index}.txt").write_text("a bird")
    (tmp_path / "set/a/._0.png").write_bytes(b"\0\5\x16\7")
    count = len(image_files.SUFFIXES)
    assert (
        len(load_folder(tmp_path / "set")[0]) == count
        and len(class_folders(tmp_path / "set")[0]) == count
    )
    assert image_source.image_source(tmp_path / "set").count == count
    assert len(caption_folder(tmp_path / "set")) == count


def test_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / "pics/x/1.png")
    (tmp_path / "pics/x/1.txt").write_text("a bird")
    assert len(load_folder("~/pics")[0]) == len(caption_folder("~/pics")) == 1
    assert image_source.image_source("~/pics").count == len(find_images("~/pics")) == 1


def test_a_flat_folder_needs_no_classes(tmp_path):
    put(tmp_path / "flat/1.png"), put(tmp_path / "flat/2.png")
    assert load_folder(tmp_path / "flat", need_classes=False)[1].tolist() == [0, 0]
    with pytest.raises(ValueError, match="has no sub-folder"):
        load_folder(tmp_path / "flat")
    from zoo import coopnet, stylegan2

    data = str(tmp_path / "flat")
    assert len(coopnet.load(data, 4, 3, 0)[0]) == 2 and stylegan2.load(data, 4, 3, 0)[2] == 1
    with pytest.raises(ValueError, match="has no sub-folder"):
        stylegan2.load(data, 4, 3, 0, conditional=True)
    put(tmp_path / "classes/x/1.png"), put(tmp_path / "classes/y/1.png")
    assert load_folder(tmp_path / "classes", need_classes=False)[2] == ["x", "y"]
    (tmp_path / "classes/y/1.png").write_bytes(b"")
    with pytest.raises(ValueError, match="y has none .skipped 1 empty files"):
        load_folder(tmp_path / "classes")


@pytest.mark.parametrize(
    "name",
    [
        "/etc/a.png",
        "../a.png",
        "x/../../a.png",
        "x\\..\\a.png",
        "C:\\a.png",
        "C:a.png",
        "\\a.png",
        "a\0.png",
        "",
        ".",
        3,
        None,
        "..",
    ],
)
def test_names_that_lead_outside_are_refused(name):
    with pytest.raises(ValueError, match="a path inside its folder, without '..'; list has"):
        check_name(name, "list")


@pytest.mark.parametrize(
    "name", ["x" * 256, "a/" + "x" * 256, "é" * 128, "/".join(["y" * 200] * 11)[1:], "\ud800.png"]
)
def test_names_that_no_file_can_have_are_refused(name):
    with pytest.raises(ValueError, match="at most 255 bytes of UTF-8, the whole name 2048; list"):
        check_name(name, "list")
    assert check_name("é" * 127 + "/" + "x" * 255, "list")


def test_names_inside():
    assert [check_name(name, "") for name in ("a.png", "./x//a.png", "x/a..png", "…/b.png")] == [
        "a.png",
        "x/a.png",
        "x/a..png",
        "…/b.png",
    ]


# === The decoder ===


def saved(tmp_path, image, name="a.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def palette(transparency):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.info["transparency"] = transparency
    return image


def test_every_mode_becomes_rgb(tmp_path):
    depth = Image.fromarray(np.full((4, 4), 25700, "uint16"))
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    hidden = Image.new("RGBA", (4, 4), (1, 2, 3, 0))
    for image, name, options, expected in [
        (Image.new("1", (4, 4), 1), "a.png", {}, WHITE),
        (Image.new("L", (4, 4), 7), "a.png", {}, [7, 7, 7]),
        (Image.new("L", (4, 4), 7), "a.png", {"transparency": 7}, WHITE),
        (Image.new("LA", (4, 4), (7, 0)), "a.png", {}, WHITE),
        (Image.new("LA", (4, 4), (0, 128)), "a.png", {}, [127, 127, 127]),
        (Image.new("RGB", (4, 4), (1, 2, 3)), "a.png", {"transparency": (1, 2, 3)}, WHITE),
        (hidden, "a.png", {}, WHITE),
        (hidden, "a.webp", {"lossless": True}, WHITE),
        (hidden, "a.tif", {}, WHITE),
        (half, "a.png", {}, [255, 127, 127]),
        (palette(0), "a.png", {}, RED),
        (palette(1), "a.png", {}, WHITE),
        (palette(b"\xff\x80"), "a.png", {}, [255, 127, 127]),
        (palette(1), "a.gif", {}, WHITE),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "a.tif", {}, RED),
        (Image.new("YCbCr", (4, 4), (128, 128, 128)), "a.jpg", {}, [128, 128, 128]),
        (depth, "a.png", {}, [100, 100, 100]),
        (depth, "a.tif", {}, [100, 100, 100]),
        (depth, "a.png", {"transparency": 25700}, None),
        (Image.fromarray(np.full((4, 4), 65535, "uint16")), "a.png", {}, WHITE),
        (Image.fromarray(np.full((4, 4), 25700, "int32")), "a.tif", {}, [100, 100, 100]),
    ]:
        path = saved(tmp_path, image, name, **options)
        rgb, grey = read_image(path), read_image(path, channels=1)
        assert (rgb.mode, grey.mode) == ("RGB", "L"), (image.mode, name)
        if expected:
            about = f"{image.mode} {name} {options}"
            np.testing.assert_array_equal(np.asarray(rgb), np.full((4, 4, 3), expected), about)
        np.testing.assert_array_equal(np.asarray(rgb.convert("L")), np.asarray(grey))


def test_sixteen_bits_of_colour_and_steps_of_grey(tmp_path):
    grey = np.arange(65536, dtype="uint16").reshape(256, 256)
    pixels = np.asarray(read_image(saved(tmp_path, Image.fromarray(grey)), channels=1))
    np.testing.assert_array_equal(pixels, np.rint(grey / 257).astype("uint8"))


def test_turned_as_the_camera_says_and_the_first_frame(tmp_path):
    image, exif = Image.new("RGB", (4, 2)), Image.Exif()
    image.putpixel((0, 0), (255, 0, 0))
    exif[0x112] = 6
    turned = read_image(saved(tmp_path, image, exif=exif))
    assert turned.size == (2, 4) and turned.getpixel((1, 0)) == (255, 0, 0)
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for name in ("b.gif", "b.webp", "b.png", "b.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert read_image(tmp_path / name).getpixel((0, 0))[2] < 10


@pytest.fixture
def broken(tmp_path):
    """Name -> bytes of files that are no whole image."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), "uint8"))
    found = {}
    for name in ("a.png", "a.jpg", "a.webp", "a.bmp", "a.gif", "a.tif"):
        whole = saved(tmp_path, noise, name).read_bytes()
        found |= {f"half_{name}": whole[: len(whole) // 2], f"head_{name}": whole[:9]}
    saved(tmp_path, Image.fromarray(np.zeros((2, 2), "float32")), "f.tif")
    saved(tmp_path, Image.fromarray(np.full((2, 2), -5, "int32")), "i.tif")
    saved(tmp_path, Image.new("1", (10_000, 10_000)), "large.png")  # Pillow would only warn
    saved(tmp_path, Image.new("1", (20_000, 20_000)), "bomb.png")
    for name in ("f.tif", "i.tif", "large.png", "bomb.png"):
        found[name] = (tmp_path / name).read_bytes()
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n(x) print\n%%EOF\n"
    return found | {
        "eps.png": script,
        "eps.jpg": script,
        "pdf.png": b"%PDF-1.4\n",
        "text.png": b"no image",
    }


def test_what_is_no_whole_image_is_one_line(broken, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "subprocess.check_call", lambda *_, **__: pytest.fail("Ghostscript was started")
    )
    for name, content in broken.items():
        path = tmp_path / f"set/x/{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        for read in (
            read_image,
            lambda _: load_folder(tmp_path / "set"),
            lambda _: list(image_source.image_source(tmp_path / "set", convert=True)),
        ):
            with pytest.raises(
                UnreadableImage, match=f"must be a readable image; .*{name}: "
            ) as told:
                read(path)
            assert "\n" not in str(told.value) and len(str(told.value)) <= 300, name
        path.unlink()


def test_few_large_images_are_held_ahead(tmp_path, monkeypatch):
    for index in range(12):
        put(tmp_path / f"{index:02}.png", size=(40, 40))
    put(tmp_path / "05.png", size=(400, 40))
    for module in (image_source_files, image_stream):
        monkeypatch.setattr(module, "BYTES", 3 * 8 * 40 * 40)
    held, most, lock = 0, 0, threading.Lock()

    def read(file):
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return file.name

    seen = []
    for name in image_source_files._ahead(read, sorted(tmp_path.iterdir())):
        seen.append(name)
        held -= 1
    assert (
        seen == [f"{index:02}.png" for index in range(12)] and most <= 4
    )  # three held, one handed over
    batches = [
        len(batch) for batch in image_source.image_source(np.zeros((20, 40, 40, 3), "uint8"))
    ]
    assert batches == [8, 8, 4]  # 32 would take more


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_transparent_grey_of_few_bits_shows_the_background(tmp_path, bits):
    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    value = 1
    row = bytes([0, sum(value << shift for shift in range(0, 8, bits))]) * 1
    header = struct.pack(">IIBBBBB", 8 // bits, 2, bits, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", value))
    content += chunk(b"IDAT", zlib.compress(2 * row)) + chunk(b"IEND", b"")
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert (np.asarray(read_image(path, 3)) == 255).all()
    assert (np.asarray(read_image(path, 1)) == 255).all()


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 90, 95, 100])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_quality_of_jpeg_files(tmp_path, quality, mode):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), "uint8"))
    image.convert(mode).save(tmp_path / "a.jpg", quality=quality)
    with Image.open(tmp_path / "a.jpg") as opened:
        assert jpeg_quality(opened) == quality
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        assert jpeg_quality(opened) is None
