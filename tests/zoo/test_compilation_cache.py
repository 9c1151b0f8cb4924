"""Compiled programs of JAX are kept in a folder of the user's cache."""

import os
import subprocess
import sys

import keras
import pytest

from kerasgan.io.paths import cache_folder
from zoo import compilation_cache

NAME = "JAX_COMPILATION_CACHE_DIR"


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in (NAME, "JAX_COMPILATION_CACHE_MAX_SIZE", *compilation_cache.SETTINGS):
        monkeypatch.setenv(name, "")  # Restored after the test, also if it was not set.
        monkeypatch.delenv(name)
    monkeypatch.setenv("KERASGAN_CACHE", str(tmp_path / "cache"))


def test_the_folder_is_in_the_cache_of_the_user(tmp_path):
    compilation_cache.keep_compilations()
    folder = os.environ[NAME]
    assert folder.startswith(str(tmp_path / "cache" / "jax")) and not os.path.exists(folder)
    compilation_cache.keep_compilations()
    assert os.environ[NAME] == folder


@pytest.mark.parametrize("base", ["", "~/here", "/there"])
@pytest.mark.parametrize("name", ["KERASGAN_CACHE", "XDG_CACHE_HOME"])
def test_the_folder_is_that_of_fetched_files(monkeypatch, name, base):
    monkeypatch.delenv("KERASGAN_CACHE")
    monkeypatch.setenv(name, base)
    assert compilation_cache._cache_folder() == cache_folder()


def test_the_users_choice_stays(monkeypatch):
    for chosen in ("/somewhere/else", ""):
        monkeypatch.setenv(NAME, chosen)
        compilation_cache.keep_compilations()
        assert os.environ[NAME] == chosen


def test_a_folder_that_cannot_be_made_is_not_used(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERASGAN_CACHE", str(tmp_path / "file" / "below"))
    compilation_cache.keep_compilations()
    assert NAME not in os.environ


@pytest.mark.backend
def test_a_second_process_compiles_nothing(tmp_path):
    if keras.backend.backend() != "jax":
        pytest.skip("only JAX has the cache")
    code = (
        "from zoo import compilation_cache; compilation_cache.keep_compilations()\n"
        "import jax, jax.numpy as jnp\n"
        "events = []\n"
        "jax.monitoring.register_event_listener(lambda name, **_: events.append(name))\n"
        "jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((4, 4)))\n"
        "print(sum(name.endswith('cache_hits') for name in events),\n"
        "      sum(name.endswith('cache_misses') for name in events))"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    (hits, misses), (later, none) = [tuple(map(int, each[-2:])) for each in found]
    assert misses > 0 and hits == 0 and later >= misses and none == 0
