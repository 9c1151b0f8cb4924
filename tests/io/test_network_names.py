"""Names of networks in code and their letters in file names."""

import keras
import pytest

from kerasgan.io.network_names import file_letter, networks_by_letter


@pytest.mark.parametrize(
    ("name", "letter"),
    [
        ("generator", "G"),
        ("discriminator", "D"),
        ("descriptor", "D"),
        ("discriminator_64", "D64"),
        ("discriminator_crop_pixels", "DCP"),
        ("text_encoder", "T"),
        ("image_encoder", "V"),
        ("robust_image_encoder", "R"),
        ("DCP", "DCP"),
        ("D64", "D64"),
    ],
)
def test_letters(name, letter):
    assert file_letter(name) == letter


class Model:
    def __init__(self, *names):
        self.names = names

    def checkpoint_networks(self):
        return {name: keras.Sequential(name=name) for name in self.names}


def test_networks_by_letter():
    found = networks_by_letter(Model("generator", "discriminator_64", "discriminator_128"))
    assert {letter: network.name for letter, network in found.items()} == {
        "G": "generator",
        "D64": "discriminator_64",
        "D128": "discriminator_128",
    }


def test_names_of_equal_letters_are_refused():
    with pytest.raises(ValueError, match="must differ .*; received encoder, energy"):
        networks_by_letter(Model("encoder", "energy"))
