"""Names of networks in code, and the letters that stand for them in file names.

Models name their networks (`generator`, `discriminator_64`). Files are named as in the training
notes, `<run>_<dataset>_<size>_G_epoch_<n>.h5`, with a letter for each network.
"""

import keras


def file_letter(name: str) -> str:
    """Returns the letters of a network in file names.

    This is the first letter of the name. Discriminators of a family add their number or initials.

    Args:
        name: Name of a network in `checkpoint_networks()`. Letters are returned unchanged.

    Example:
        ```python
        file_letter("generator")  # "G"
        file_letter("discriminator_64")  # "D64"
        file_letter("discriminator_crop_pixels")  # "DCP"
        ```
    """
    if name.isupper():
        return name
    if name == "image_encoder":  # "I" would be the initial; files have always had "V" (visual).
        return "V"
    kind, *parts = name.split("_")
    parts = parts if kind == "discriminator" else []
    return kind[0].upper() + "".join(p if p.isdigit() else p[0].upper() for p in parts)


def networks_by_letter(model: keras.Model) -> dict[str, keras.Model]:
    """Returns `model.checkpoint_networks()` with the letters of file names as keys.

    Raises:
        ValueError: If two networks have the same letters.
    """
    networks = model.checkpoint_networks()
    found = {file_letter(name): network for name, network in networks.items()}
    if len(found) < len(networks):
        raise ValueError(
            "the names of a model's networks must differ in their letters in file names (see "
            f"kerasgan.io.network_names); received {', '.join(networks)}"
        )
    return found
