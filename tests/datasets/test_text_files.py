import json
import pickle

import numpy as np
import pytest
from PIL import Image

from kerasgan.datasets.caption_folder import caption_folder
from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.coco import coco_folder
from kerasgan.datasets.text_files import decode, read_lines, read_text

TEXT = "ein Vögel\nzwei\u2028drei\x85vier 鳥\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "a.jpg", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


def lines(folder, *rows, ending="\n", encoding="utf-8"):
    text = ending.join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "captions.jsonl").write_bytes(text.encode(encoding))
    return caption_folder(folder, size=8)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_and_utf_8(folder, encoding):
    (folder / "x.txt").write_bytes(TEXT.encode(encoding))
    assert read_text(folder / "x.txt") == TEXT
    assert read_lines(folder / "x.txt") == ["ein Vögel", "zwei\u2028drei\x85vier 鳥", ""]
    assert lines(folder, {"file": "a.png", "captions": ["é"]}, encoding=encoding).captions == [
        ["é"]
    ]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("a\nVögel".encode("latin-1"), "x.txt, line 2, byte 3: f6"),
        (b"\xef\xbb\xbfa\n\nV\xf6gel", "x.txt, line 3, byte 7: f6"),
        ("Vogel".encode("utf-16-le"), "x.txt, line 1: it holds NUL"),
        ("Vogel".encode("utf-32"), "x.txt, line 1: it holds NUL"),
        (b"a\nb\0", "x.txt, line 2: it holds NUL"),
        ("Vogel".encode("utf-16")[:-1], "x.txt, line 1, byte"),
        (b"a\xe9", "x.txt, line 1, byte 1"),
    ],
)
def test_other_encodings_are_refused(folder, content, place):
    (folder / "x.txt").write_bytes(content)
    with pytest.raises(
        ValueError, match=f"must be UTF-8, or UTF-16 with a byte order mark; .*{place}"
    ) as told:
        read_text(folder / "x.txt")
    assert "\n" not in str(told.value)
    (folder / "captions.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match="captions.jsonl"):
        caption_folder(folder)


def test_lines_of_one_file_are_captions_of_one_image(folder):
    data = lines(
        folder,
        {"file": "a.png", "captions": ["one"]},
        {"file": "b.png", "captions": ["b\u2028\x85 b"]},
        {"file": "./a.png", "captions": ["two", "three"]},
        {"file": "a.jpg", "captions": ["j"]},
        ending="\r\n",
    )
    assert data.names == ["a.png", "b.png", "a.jpg"] and data.classes.tolist() == [0, 1, 2]
    assert data.captions == [["one", "two", "three"], ["b\u2028\x85 b"], ["j"]]
    with pytest.raises(ValueError, match="have one class; .*line 2: a.png has the classes x and y"):
        lines(folder, *({"file": "a.png", "captions": ["c"], "class": kind} for kind in "xy"))
    for name in ("../a.png", str(folder / "a.png"), "x\0.png"):
        with pytest.raises(
            ValueError, match=r"a path inside its folder, without '..'; .*captions.jsonl, line 1"
        ):
            lines(folder, {"file": name, "captions": ["c"]})


def test_images_of_one_stem_are_two_images(folder):
    for stem in "ab":
        (folder / f"{stem}.txt").write_text(f"{stem} one\r\n{stem} two\u2028still\n")
    data = caption_folder(folder, size=8)
    assert data.names == ["a.jpg", "a.png", "b.png"]
    assert data.captions[0] == data.captions[1] == ["a one", "a two\u2028still"]


def test_names_are_different():
    with pytest.raises(ValueError, match="names must be different; received 'b' more than once"):
        CaptionedImages(np.zeros((3, 2, 2, 3), "uint8"), np.arange(3), [["x"]] * 3, ["a", "b", "b"])


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", b"\xf6.jpg", 3])
def test_names_of_coco(tmp_path, name):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/captions.pickle").write_bytes(pickle.dumps({name: ["c"]}))
    with pytest.raises(ValueError, match="captions.pickle"):
        coco_folder(tmp_path)


def test_decode():
    assert decode(b"V\xc3\xb6gel", "x") == decode("Vögel", "x") == "Vögel"
    for value in (b"V\xf6gel", "a\0", 3, None):
        with pytest.raises(ValueError, match="must be text in UTF-8; x has"):
            decode(value, "x")
