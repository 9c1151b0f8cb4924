import json

import pytest
from PIL import Image

from kerasgan.datasets.caption_folder import caption_folder, caption_splits
from kerasgan.datasets.lazy_images import UnreadableImage


@pytest.fixture
def folder(tmp_path):
    for name, colour in (("b/one.JPG", 255), ("a/two.png", 128), ("a/three.png", 0)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (40, 20), colour).save(tmp_path / name)
    return tmp_path


def lines(folder, *rows):
    content = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / "captions.jsonl").write_text(content, "utf-8")


def texts(folder):
    for name in ("b/one", "a/two", "a/three"):
        (folder / f"{name}.txt").write_text(f"first of {name}\n\n second \n")


def test_reads_lines(folder):
    lines(
        folder,
        {"file": "b/one.JPG", "captions": ["a", "é"]},
        "",
        {"file": "a/two.png", "captions": ["c"]},
    )
    data = caption_folder(folder, size=8)
    assert (data.names, data.captions) == (["b/one.JPG", "a/two.png"], [["a", "é"], ["c"]])
    assert (
        data.classes.tolist() == [0, 1]
        and data.images[1].shape == (8, 8, 3)
        and (data.images[1] == 128).all()
    )
    files = ("b/one.JPG", "a/two.png", "a/three.png")
    rows = zip(files, ("x", "b", "x"), strict=True)
    lines(folder, *({"file": file, "captions": ["c"], "class": kind} for file, kind in rows))
    assert caption_folder(folder).classes.tolist() == [1, 0, 1]


def test_reads_texts_beside_images(folder):
    texts(folder)
    data = caption_folder(folder)
    assert data.names == ["a/three.png", "a/two.png", "b/one.JPG"] and data.classes.tolist() == [
        0,
        0,
        1,
    ]
    assert data.captions[2] == ["first of b/one", "second"] and data.images[0].shape == (
        304,
        304,
        3,
    )
    assert caption_folder(folder / "a").classes.tolist() == [0, 1]


@pytest.mark.parametrize(
    "row",
    [
        {"file": "a/two.png"},
        {"file": "a/two.png", "captions": []},
        {"file": "a/two.png", "captions": "one"},
        {"file": "a/two.png", "captions": [""]},
        {"file": 3, "captions": ["a"]},
        "[]",
        "no JSON",
        '"text"',
        {"file": "a/two.png", "captions": ["a"], "class": 1},
    ],
)
def test_a_bad_line_is_named(folder, row):
    lines(folder, {"file": "b/one.JPG", "captions": ["a"]}, row)
    with pytest.raises(ValueError, match="captions.jsonl, line 2: "):
        caption_folder(folder)


def test_pairs_that_are_none(folder):
    with pytest.raises(ValueError, match="must hold captions.jsonl, or x.txt beside x.jpg"):
        caption_folder(folder)
    texts(folder)
    (folder / "a" / "two.txt").rename(folder / "a" / "zwei.txt")
    with pytest.raises(FileNotFoundError, match="two.png has no captions"):
        caption_folder(folder)
    (folder / "a" / "two.png").unlink()
    with pytest.raises(FileNotFoundError, match="zwei.txt has no image"):
        caption_folder(folder)
    (folder / "a" / "zwei.txt").unlink()
    (folder / "a" / "three.txt").write_text("\n")
    with pytest.raises(ValueError, match="needs a caption; .*three.txt is empty"):
        caption_folder(folder)
    lines(folder, {"file": "a/four.png", "captions": ["a"]})
    with pytest.raises(FileNotFoundError, match="1 are missing, the first .*four.png"):
        caption_folder(folder)
    lines(folder)
    with pytest.raises(ValueError, match="captions.jsonl is empty"):
        caption_folder(folder)
    with pytest.raises(FileNotFoundError, match="must be a folder .* received .*nowhere"):
        caption_folder(folder / "nowhere")


def test_an_unreadable_image_is_named_when_asked_for(folder):
    texts(folder)
    (folder / "a" / "two.png").write_bytes((folder / "a" / "two.png").read_bytes()[:50])
    data = caption_folder(folder)
    data.images[0]
    with pytest.raises(UnreadableImage, match="two.png"):
        data.images[1]


def test_a_link_and_its_target_are_one_image(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    (tmp_path / "z.png").symlink_to(tmp_path / "x.png")
    lines = [f'{{"file": "{name}.png", "captions": ["a bird"]}}' for name in "xz"]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="x.png and z.png are the same file"):
        caption_folder(tmp_path)


def test_captions_with_lone_surrogates_are_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    (tmp_path / "captions.jsonl").write_text(r'{"file": "x.png", "captions": ["a\ud800"]}')
    with pytest.raises(ValueError, match="captions.jsonl, line 1"):
        caption_folder(tmp_path)


def many(folder, count, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        Image.new("L", (8, 8), i).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"caption {i % 4}")
    return folder


def test_splits_are_chosen_by_the_seed_alone(tmp_path):
    many(tmp_path, 30)
    first, again, other = (caption_splits(tmp_path, 8, seed) for seed in (0, 0, 1))
    assert {split: len(part) for split, part in first.items()} == {"train": 24, "test": 6}
    assert not set(first["train"].names) & set(first["test"].names)
    assert first["test"].names == again["test"].names != other["test"].names
    for name, image in zip(first["test"].names, first["test"].images, strict=True):
        assert (image == int(name.removesuffix(".png"))).all()


def test_splits_of_the_user_are_kept(tmp_path):
    many(tmp_path / "train", 9), many(tmp_path / "test", 3, first=20)
    splits = caption_splits(tmp_path, 8)
    assert splits["test"].names == ["20.png", "21.png", "22.png"] and len(splits["train"]) == 9


def test_too_few_images_or_captions_are_refused(tmp_path):
    with pytest.raises(ValueError, match="needs at least 10 images with captions; .* has 4"):
        caption_splits(many(tmp_path / "few", 4))
    same = many(tmp_path / "same", 12)
    for path in same.glob("*.txt"):
        path.write_text("a photo")
    with pytest.raises(ValueError, match="captions must differ .*; all 12 images .* 'a photo'"):
        caption_splits(same)
