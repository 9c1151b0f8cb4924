"""Text and image encoders.

A text encoder is a callable from a list of N captions to embeddings, float32 `[N, D]`.
"""

from typing import TYPE_CHECKING

from kerasgan.lazy import lazy_exports

if TYPE_CHECKING:
    from kerasgan.encoders.char_cnn_rnn import (
        CaptionedPairs as CaptionedPairs,
        ImageEncoder as ImageEncoder,
        JointEmbedding as JointEmbedding,
        TextEncoder as TextEncoder,
        build_image_encoder as build_image_encoder,
        build_text_encoder as build_text_encoder,
        image_encoder as image_encoder,
        joint_embedding_loss as joint_embedding_loss,
        text_encoder as text_encoder,
    )
    from kerasgan.encoders.clip import ClipTextEncoder as ClipTextEncoder
    from kerasgan.encoders.part_classifier import (
        PartClassifier as PartClassifier,
        build_caption_classifier as build_caption_classifier,
        build_part_classifier as build_part_classifier,
    )
    from kerasgan.encoders.part_encoder import (
        PartEncoder as PartEncoder,
        build_part_encoder as build_part_encoder,
    )
    from kerasgan.encoders.robust_image_encoder import (
        RobustImageEncoder as RobustImageEncoder,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "kerasgan.encoders.char_cnn_rnn": (
            "CaptionedPairs",
            "ImageEncoder",
            "JointEmbedding",
            "TextEncoder",
            "build_image_encoder",
            "build_text_encoder",
            "image_encoder",
            "joint_embedding_loss",
            "text_encoder",
        ),
        "kerasgan.encoders.clip": ("ClipTextEncoder",),
        "kerasgan.encoders.part_classifier": (
            "PartClassifier",
            "build_caption_classifier",
            "build_part_classifier",
        ),
        "kerasgan.encoders.part_encoder": ("PartEncoder", "build_part_encoder"),
        "kerasgan.encoders.robust_image_encoder": ("RobustImageEncoder",),
    },
)
