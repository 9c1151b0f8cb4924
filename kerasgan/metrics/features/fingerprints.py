"""SHA-256 of published weights, and the names of scores that only these weights may have.

A score has the name of a published score only if its features come from the published weights. Any
other weights, such as random weights of the right shape, are `unknown weights <SHA-256>`.

Each fingerprint is that of a file, or of the tensors after conversion (`weights_sha256` of a
protocol). Sources: the names of the files of pytorch-fid and torch-fidelity and public projects
that pin them (Inception), the pages of the files on the Hugging Face Hub (DINOv2, CLIP). Missing,
because no public source states them: the archive `inception-2015-12-05.tgz` (the graph in it is
known), and keras-hub's own conversions other than the two below.
"""

import warnings

INCEPTION, DINOV2, CLIP = "Inception-2015-12-05", "DINOv2 ViT-L/14", "CLIP ViT-L/14-336"
KNOWN = {
    # pt_inception-2015-12-05-6726825d.pth and weights-inception-2015-12-05-6726825d.pth
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2": INCEPTION,
    # classify_image_graph_def.pb
    "009d6814d1bc560d4e7b236e170e9b2d5ca6f4b57bd8037f6db05776204415c6": INCEPTION,
    # facebook/dinov2-small, -base, -large and -giant, model.safetensors
    "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1": "DINOv2 ViT-S/14",
    "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841": "DINOv2 ViT-B/14",
    "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23": DINOV2,
    "917d3c470db999d32a312f8542149be91c7cbac61ee8fb4b67ae3d82b79ce21f": "DINOv2 ViT-g/14",
    # keras/dinov2_base, model.weights.h5
    "1247b249fe468beb37da15a353d11347b8636d6afdb1d07e301ea1aa48d4d3c7": "DINOv2 ViT-B/14",
    # openai/clip-vit-large-patch14-336, pytorch_model.bin
    "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801": CLIP,
    # openai/clip-vit-large-patch14, model.safetensors and pytorch_model.bin
    "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb": "CLIP ViT-L/14",
    "f1a17cdbe0f36fec524f5cafb1c261ea3bbbc13e346e0f74fc9eb0460dedd0d3": "CLIP ViT-L/14",
    # keras/clip_vit_base_patch32, model.weights.h5
    "b3ba2f2f2f1c2c6dae12eb3812c85ba73b3cbe05a925798b9268e2ab89fc11b2": "CLIP ViT-B/32",
}
UNKNOWN = "unknown weights"
# Names of scores by features of a network. torch-fidelity uses those of Inception.
SCORES = {
    INCEPTION: {
        "is": "inception_score",
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance",
    },
    DINOV2: {"is": "classifier_score", "fid": "fd_dinov2", "kid": "kd_dinov2"},
}
OTHER = {"is": "classifier_score", "fid": "frechet_distance", "kid": "kernel_distance"}


def network_name(kind: str, *fingerprints: str | None) -> str:
    """Returns the name of a network for protocols.

    Args:
        kind: Start of the names of the networks of this architecture, such as `"DINOv2"`.
        fingerprints: SHA-256 of the tensors, and of the file if there is one. A known one is
            enough.

    Returns:
        The published name, or `"unknown weights <first digits> of <kind>"`.
    """
    found = [sha256 for sha256 in fingerprints if sha256]
    names = [KNOWN[sha256] for sha256 in found if KNOWN.get(sha256, "").startswith(kind)]
    return names[0] if names else " ".join([UNKNOWN, *(each[:8] for each in found[:1]), "of", kind])


def score_names(protocol: dict) -> dict[str, str]:
    """Returns the names of "is", "fid" and "kid" by features with this protocol.

    It warns if the weights of a published network are unknown.
    """
    network = str(protocol.get("network", ""))
    if network.startswith(UNKNOWN):
        kind = network.partition(" of ")[2]
        warnings.warn(
            f"{network}: their SHA-256 is not that of published weights, so no score is named "
            f"after {kind}, and none compares with published scores",
            stacklevel=3,
        )
    return SCORES.get(network, OTHER)
