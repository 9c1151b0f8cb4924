"""Loaders and generators of training data."""

from typing import TYPE_CHECKING

from kerasgan.datasets.caption_folder import (
    caption_folder as caption_folder,
    caption_splits as caption_splits,
)
from kerasgan.datasets.class_captions import class_captions as class_captions
from kerasgan.datasets.image_source import ImageSource as ImageSource, image_source as image_source
from kerasgan.datasets.synthetic_birds import synthetic_birds as synthetic_birds
from kerasgan.datasets.tfds_arrays import tfds_arrays as tfds_arrays
from kerasgan.lazy import lazy_exports

if TYPE_CHECKING:
    from kerasgan.datasets.batches import (
        Batches as Batches,
    )
    from kerasgan.datasets.captioned import (
        CaptionedBatches as CaptionedBatches,
        CaptionedImages as CaptionedImages,
    )
    from kerasgan.datasets.celeba import (
        load_celeba as load_celeba,
    )
    from kerasgan.datasets.cifar10 import (
        load_cifar10 as load_cifar10,
    )
    from kerasgan.datasets.coco import (
        coco_folder as coco_folder,
    )
    from kerasgan.datasets.digits import (
        load_digits as load_digits,
    )
    from kerasgan.datasets.folder import (
        load_folder as load_folder,
    )
    from kerasgan.datasets.fresh_birds import (
        FreshBirds as FreshBirds,
    )
    from kerasgan.datasets.generated import (
        GeneratedBlocks as GeneratedBlocks,
    )
    from kerasgan.datasets.grain_workers import (
        GrainWorkers as GrainWorkers,
    )
    from kerasgan.datasets.lazy_images import (
        LazyImages as LazyImages,
    )
    from kerasgan.datasets.plants import (
        load_plants as load_plants,
    )
    from kerasgan.datasets.prepared import (
        load_prepared as load_prepared,
        prepare as prepare,
    )
    from kerasgan.datasets.stackgan import (
        stackgan_folder as stackgan_folder,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "kerasgan.datasets.batches": ("Batches",),
        "kerasgan.datasets.captioned": (
            "CaptionedBatches",
            "CaptionedImages",
        ),
        "kerasgan.datasets.celeba": ("load_celeba",),
        "kerasgan.datasets.cifar10": ("load_cifar10",),
        "kerasgan.datasets.coco": ("coco_folder",),
        "kerasgan.datasets.digits": ("load_digits",),
        "kerasgan.datasets.folder": ("load_folder",),
        "kerasgan.datasets.fresh_birds": ("FreshBirds",),
        "kerasgan.datasets.generated": ("GeneratedBlocks",),
        "kerasgan.datasets.grain_workers": ("GrainWorkers",),
        "kerasgan.datasets.lazy_images": ("LazyImages",),
        "kerasgan.datasets.plants": ("load_plants",),
        "kerasgan.datasets.prepared": (
            "load_prepared",
            "prepare",
        ),
        "kerasgan.datasets.stackgan": ("stackgan_folder",),
    },
)
__all__ += [
    "caption_folder",
    "caption_splits",
    "class_captions",
    "ImageSource",
    "image_source",
    "synthetic_birds",
    "tfds_arrays",
]
