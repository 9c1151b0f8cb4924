"""Birds (CUB) and flowers (Oxford-102) in the folders that StackGAN and HDGAN train from.

Sources: Zhang et al., "StackGAN" (arXiv 1612.03242), whose repository describes the folders; Wah et
al., "The Caltech-UCSD Birds-200-2011 Dataset"; Nilsback and Zisserman, "Automated flower
classification over a large number of classes"; captions and embeddings: Reed et al., "Learning Deep
Representations of Fine-grained Visual Descriptions" (arXiv 1605.05395).

    birds/train/, birds/test/   filenames.pickle, class_info.pickle, char-CNN-RNN-embeddings.pickle,
    304images.pickle birds/text_c10/
    001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.txt, ... birds/CUB_200_2011/
    images/, images.txt, bounding_boxes.txt: instead of 304images.pickle flowers/jpg/
    image_00001.jpg, ...: the same for flowers, whose captions are in text_c10/class_00001/

Difference from StackGAN's preparation of the photographs: there `scipy.misc.imresize` stretched the
contrast of each crop to 0..255; here it stays as photographed.
"""

import numpy as np

from kerasgan.datasets.captioned import CaptionedImages
from kerasgan.datasets.image_files import check_name
from kerasgan.datasets.lazy_images import LazyImages, open_rgb, resized
from kerasgan.datasets.pickles import load_pickle
from kerasgan.datasets.text_files import decode, read_lines
from kerasgan.io.paths import user_path
from kerasgan.io.reading import reading

NAMES, CLASSES, EMBEDDINGS = (
    "filenames.pickle",
    "class_info.pickle",
    "char-CNN-RNN-embeddings.pickle",
)
STACKGAN = "https://github.com/hanzhanggit/StackGAN#data"


def stackgan_folder(path, split="train", size=304, embeddings=True):
    """Read one split of a StackGAN folder.

    Images come from `<size>images.pickle`; where it is missing, from the photographs, cropped
    (birds, around their bounding box) and resized as StackGAN did, when asked for.

    Args:
        path: the folder of birds or of flowers.
        split: "train" or "test": other classes, not other images of the same ones.
        size: side of the images: 304 (to crop 256 from) or 76 (to crop 64).
        embeddings: False leaves the ready embeddings out, for another text encoder's.

    Returns:
        `CaptionedImages`. Classes are `class_info` less one; if that is not whole numbers from 1,
        places in its order. Where there is no text folder at all, captions are empty.

    Raises:
        FileNotFoundError: which files are missing, whence they come and where they go.
        ValueError: a file that is short, does not fit the others, or holds no data.
    """
    path = user_path(path)
    folder = path / split
    needed = [NAMES, CLASSES] + [EMBEDDINGS] * embeddings
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)} missing in {folder}; they come with StackGAN's char-CNN-RNN "
            f"embeddings ({STACKGAN})"
        )
    names = read_names(folder / NAMES)
    found = {NAMES: names, CLASSES: _read_classes(folder / CLASSES)}
    if embeddings:
        found[EMBEDDINGS] = read_embeddings(folder / EMBEDDINGS)
    images = f"{size}images.pickle"
    found[images] = (
        _pickled(folder / images, size)
        if (folder / images).is_file()
        else _photographs(path, names, size)
    )
    check_counts(folder, found)
    captions = _captions(path, names, found[CLASSES])
    return CaptionedImages(
        found[images], _from_zero(found[CLASSES]), captions, names, found.get(EMBEDDINGS)
    )


def read_names(path):
    """A pickled list of names -> list of str, at least one."""
    names = [
        check_name(decode(name, path), path) for name in load_pickle(path, list)
    ]  # some wrote bytes
    if not names:
        raise ValueError(f"a split must have an image; {path} names none")
    return names


def _read_classes(path):
    """A pickled list of one number, or one text, an image -> array [N]."""
    classes = load_pickle(path, list)
    if not all(isinstance(number, (int, float, str, bytes, np.generic)) for number in classes):
        raise ValueError(f"classes must be one number an image; {path} has others")
    with reading(path, "classes must be one number an image"):
        return np.asarray(classes)


def check_counts(folder, found):
    """All files of a split tell of the same images, or ValueError says how many each tells of."""
    if len({len(values) for values in found.values()}) > 1:
        counts = ", ".join(f"{name} has {len(values)}" for name, values in found.items())
        raise ValueError(
            f"the files of a split must have one entry an image; in {folder}, {counts}: copy "
            "them again"
        )


def read_embeddings(path):
    """A pickled list of N arrays [C, D] -> float32 [N, C, D]."""
    vectors = load_pickle(path, list)
    if not all(isinstance(vector, np.ndarray) and vector.dtype.kind in "fiu" for vector in vectors):
        raise ValueError(f"embeddings must be arrays [captions, numbers]; {path} has others")
    shapes = {np.shape(vector) for vector in vectors}
    if len(shapes) != 1 or len(min(shapes)) != 2:
        raise ValueError(
            f"embeddings must be one [captions, numbers] an image; {path} has {_some(shapes)}"
        )
    return np.asarray(vectors, "float32")


def _pickled(path, size):
    images = load_pickle(path, list, encoding="bytes")  # the file is gigabytes large
    kinds = {
        f"{image.dtype} {list(image.shape)}"
        if isinstance(image, np.ndarray)
        else f"{type(image).__name__} []"
        for image in images
    }
    wrong = kinds - {f"uint8 {[size, size, 3]}"}
    if wrong:
        raise ValueError(f"images must be uint8 [{size}, {size}, 3]; {path} has {_some(wrong)}")
    return images


def _some(values):
    return ", ".join(sorted(map(str, values))[:3]) or "none"


def _photographs(path, names, size):
    flowers = names[0].startswith("jpg/")
    tables = (
        []
        if flowers
        else [path / "CUB_200_2011" / name for name in ("images.txt", "bounding_boxes.txt")]
    )
    files = [
        (path if flowers else path / "CUB_200_2011" / "images") / f"{name}.jpg" for name in names
    ]
    missing = [file for file in [*tables, *files] if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{size}images.pickle is missing beside {NAMES}, and so are {len(missing):,} files "
            "to make it from, the "
            f"first {missing[0]}; the photographs are "
            f"{'Oxford-102' if flowers else 'CUB-200-2011'}'s ({STACKGAN})"
        )
    if flowers:
        return LazyImages(files, lambda file: resized(open_rgb(file), size))
    rows = []
    for table in tables:
        with reading(table, "a table of CUB-200-2011 must have a number and a value in each line"):
            rows.append(dict(_row(line, table) for line in read_lines(table) if line.strip()))
    boxes = {name.strip(): rows[1].get(key) for key, name in rows[0].items()}
    unboxed = [name for name in names if boxes.get(f"{name}.jpg") is None]
    if unboxed:
        raise ValueError(
            f"each bird needs a row in images.txt and bounding_boxes.txt; {unboxed[0]} has none"
        )
    with reading(tables[1], "a bounding box must be four numbers"):
        box = {
            file: [float(value) for value in boxes[f"{name}.jpg"].split()]
            for file, name in zip(files, names, strict=True)
        }
        if not all(len(sides) == 4 and np.isfinite(sides).all() for sides in box.values()):
            raise ValueError("a box has others")
    return LazyImages(files, lambda file: crop_bird(open_rgb(file), box[file], size))


def _row(line, table):
    number, _, rest = line.strip().partition(" ")
    if not rest:
        raise ValueError(f"each line must be a number and a value; {table} has {line[:80]!r}")
    return number, rest


def crop_bird(image, box, size):
    """A Pillow image, cut to 1.5 times the longer side of its bounding box and resized -> uint8
    [size, size, 3].

    Args:
        image: the photograph.
        box: left, top, width and height in pixels.
        size: of the result; what reaches over the photograph's edge is left out, and the rest
            stretched to a square.
    """
    left, top, width, height = (int(value) for value in box)
    x, y, radius = int(left + width / 2), int(top + height / 2), int(max(width, height) * 0.75)
    window = (
        max(0, x - radius),
        max(0, y - radius),
        min(image.width, x + radius),
        min(image.height, y + radius),
    )
    return resized(image.crop(window), size)


def _captions(path, names, classes):
    folder = next((path / name for name in ("text_c10", "text") if (path / name).is_dir()), None)
    if folder is None:
        return [[] for _ in names]
    captions = []
    for name, number in zip(names, classes, strict=True):
        file = (
            folder
            / f"{name.replace('jpg/', f'class_{int(number):05d}/') if name.startswith('jpg/') else name}.txt"  # noqa: E501
        )
        if not file.is_file():
            raise FileNotFoundError(
                f"each image needs its captions, one a line; there is no {file}"
            )
        captions.append([line.strip() for line in read_lines(file) if line.strip()])
    return captions


def _from_zero(classes):
    counted = np.issubdtype(classes.dtype, np.integer) and classes.min(initial=1) >= 1
    return (classes - 1 if counted else np.unique(classes, return_inverse=True)[1]).astype("int32")
