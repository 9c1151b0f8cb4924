import pickle

import numpy as np
import pytest
from PIL import Image

from kerasgan.datasets.lazy_images import UnreadableImage
from kerasgan.datasets.stackgan import crop_bird, stackgan_folder

NAMES = [
    "002.Laysan_Albatross/Laysan_Albatross_0002_1027",
    "007.Auklet/Auklet_0001_2",
    "007.Auklet/Auklet_0009_3",
]
SIZE = 8
RANDOM = np.random.default_rng(0)
EMBEDDINGS = [RANDOM.normal(size=(10, 4)).astype("float32") for _ in NAMES]
IMAGES = [RANDOM.integers(0, 256, (SIZE, SIZE, 3)).astype("uint8") for _ in NAMES]


def put(folder, **content):
    names = {"names": "filenames", "classes": "class_info", "images": "8images"}
    names["embeddings"] = "char-CNN-RNN-embeddings"
    for key, value in content.items():
        (folder / f"{names[key]}.pickle").write_bytes(pickle.dumps(value, 2))


@pytest.fixture
def birds(tmp_path):
    (tmp_path / "train").mkdir()
    put(tmp_path / "train", names=NAMES, classes=[2, 7, 7], embeddings=EMBEDDINGS, images=IMAGES)
    for name in NAMES:
        file = tmp_path / "text_c10" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"a bird \n\n" + name.encode() + b" na\xc3\xafve\n")
    return tmp_path


def photographs(birds):
    (birds / "train" / "8images.pickle").unlink()
    cub = birds / "CUB_200_2011"
    for number, name in enumerate(NAMES):
        file = cub / "images" / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L" if number else "RGB", (40, 30), 90 if number else (255, 0, 0)).save(file)
    rows = enumerate(reversed(NAMES), 1)  # rows are found by their number, not by their place
    (cub / "images.txt").write_text("".join(f"{number} {name}.jpg\n" for number, name in rows))
    (cub / "bounding_boxes.txt").write_text(
        "".join(f"{number} 4.0 6.0 20.0 {number}.0\n" for number in (3, 2, 1))
    )
    return cub


def test_reads_a_split(birds):
    data = stackgan_folder(birds, "train", SIZE)
    assert (data.names, data.classes.tolist(), data.classes.dtype) == (NAMES, [1, 6, 6], "int32")
    assert data.captions[0] == ["a bird", f"{NAMES[0]} naïve"]
    np.testing.assert_array_equal(data.embeddings, EMBEDDINGS)
    np.testing.assert_array_equal(data.images, IMAGES)
    assert stackgan_folder(birds, "train", SIZE, embeddings=False).embeddings is None


def test_flowers_have_their_captions_by_class(birds):
    put(
        birds / "train",
        names=[b"jpg/image_06734", b"jpg/image_1", b"jpg/image_2"],
        classes=[102, 3, 3],
    )
    for name in ("class_00102/image_06734", "class_00003/image_1", "class_00003/image_2"):
        (birds / "text_c10" / f"{name}.txt").parent.mkdir(exist_ok=True)
        (birds / "text_c10" / f"{name}.txt").write_text(name)
    data = stackgan_folder(birds, "train", SIZE)
    assert data.captions == [
        ["class_00102/image_06734"],
        ["class_00003/image_1"],
        ["class_00003/image_2"],
    ]
    assert data.names[0] == "jpg/image_06734"
    (birds / "train" / "8images.pickle").unlink()
    (birds / "jpg").mkdir()
    for name in data.names:
        Image.new("RGBA", (20, 10), (0, 255, 0, 9)).save(birds / f"{name}.jpg", "PNG")
    on_white = np.full((8, 8, 3), [246, 255, 246])
    np.testing.assert_array_equal(stackgan_folder(birds, "train", SIZE).images[2], on_white)


def test_classes_of_any_name_are_numbered(birds):
    put(birds / "train", classes=["tern", "auklet", "auklet"])
    (birds / "text_c10").rename(birds / "elsewhere")
    data = stackgan_folder(birds, "train", SIZE)
    assert data.classes.tolist() == [1, 0, 0] and data.captions == [[], [], []]


def test_photographs_are_cropped_as_stackgan_did(birds):
    photographs(birds)
    images = stackgan_folder(birds, "train", SIZE).images
    np.testing.assert_allclose(images[0], np.full((8, 8, 3), [254, 0, 0]), atol=2)
    np.testing.assert_array_equal(images[1], np.full((8, 8, 3), 90))
    ramp = np.broadcast_to(np.arange(40, dtype="uint8")[None, :, None] * 5, (30, 40, 3))
    # centre (14, 8), half the window 15: columns 0 to 29, rows 0 to 23.
    cut = crop_bird(Image.fromarray(ramp), (4.9, 6.2, 20.9, 5.0), 29)
    np.testing.assert_array_equal(cut[0, :, 0], np.arange(29) * 5)
    assert cut.shape == (29, 29, 3)


def test_an_unreadable_photograph_is_named_when_asked_for(birds):
    file = photographs(birds) / "images" / f"{NAMES[1]}.jpg"
    file.write_bytes(file.read_bytes()[:300])
    images = stackgan_folder(birds, "train", SIZE).images
    images[0], images[2]
    with pytest.raises(UnreadableImage, match=f"must be a readable image; .*{NAMES[1]}"):
        images[1]


def test_what_is_missing_is_listed(birds):
    for name in ("filenames", "class_info"):
        (birds / "train" / f"{name}.pickle").unlink()
    with pytest.raises(
        FileNotFoundError, match="filenames.pickle, class_info.pickle missing in .*train; StackGAN"
    ):
        stackgan_folder(birds, "train", SIZE)
    with pytest.raises(FileNotFoundError, match="embeddings.pickle missing in .*test;"):
        stackgan_folder(birds, "test", SIZE)
    put(birds / "train", names=NAMES, classes=[2, 7, 7])
    (birds / "text_c10" / f"{NAMES[2]}.txt").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=f"needs a file of captions, one per line; there is no .*{NAMES[2]}.txt",
    ):
        stackgan_folder(birds, "train", SIZE)
    with pytest.raises(
        FileNotFoundError, match="304images.pickle is missing.* so are 5 files .* CUB-200-2011"
    ):
        stackgan_folder(birds, "train")
    cub = photographs(birds)
    (cub / "bounding_boxes.txt").write_text("1 1 1 1 1\n2 1 1 1 1\n")
    with pytest.raises(ValueError, match=f"needs a row in .*; {NAMES[0]} has none"):
        stackgan_folder(birds, "train", SIZE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"images": IMAGES[:2]},
            r"one entry per image; in .*train, filenames.pickle has 3, .* 8images.pickle has 2",
        ),
        ({"classes": [1, 2, 3, 4]}, "class_info.pickle has 4"),
        (
            {"images": [*IMAGES[:2], IMAGES[2][:4]]},
            r"must be uint8 \[8, 8, 3\]; .*8images.pickle has uint8 \[4, 8, 3\]",
        ),
        ({"images": [*IMAGES[:2], "a"]}, r"8images.pickle has str \[\]"),
        (
            {"embeddings": [*EMBEDDINGS[:2], EMBEDDINGS[2][:5]]},
            r"\[captions, D\] of one shape, one per image; .*\(10, 4\), \(5, 4\)",
        ),
        ({"embeddings": []}, "embeddings.pickle has none"),
        ({"names": []}, "a split must have an image; .*filenames.pickle is empty"),
        ({"classes": {1: 2}}, "class_info.pickle must contain a list; it contains a dict"),
    ],
)
def test_files_that_do_not_fit(birds, content, message):
    put(birds / "train", **content)
    with pytest.raises(ValueError, match=message):
        stackgan_folder(birds, "train", SIZE)


def test_a_file_cut_short(birds):
    file = birds / "train" / "8images.pickle"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="a pickle must be complete; .*8images.pickle"):
        stackgan_folder(birds, "train", SIZE)
