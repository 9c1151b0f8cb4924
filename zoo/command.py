"""The command line of this process as one line that a shell can run again."""

import shlex
import sys
from collections.abc import Collection

from absl import flags


def shell_command(module: str, without: Collection[str] = ()) -> str:
    """Returns `python -m <module>` with this process' arguments, quoted for a POSIX shell.

    Args:
        module: Module, such as `"zoo.mnist_gan"`.
        without: Names of flags to leave out, with their values, in every form: `--name=value`,
            `--name value`, `-name value`, and for switches `--name` and `--noname`.
    """
    return shlex.join(["python", "-m", module, *_kept(sys.argv[1:], without)])


def _kept(words, without):
    kept, left = [], list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return [*kept, word, *left]
        name, value = _flag(word), []
        if name and left and "=" not in word and _takes_a_value(name, without):
            value = [left.pop(0)]
        if name is None or _plain(name, without) not in without:
            kept += [word, *value]
    return kept


def _flag(word):
    dashes = len(word) - len(word.lstrip("-"))
    return word.lstrip("-").partition("=")[0] if dashes in (1, 2) and len(word) > dashes else None


def _plain(name, without):
    """Returns `name` for `--noname`."""
    negated = name[:2] == "no" and name not in flags.FLAGS and name[2:] in without
    return name[2:] if negated else name


def _takes_a_value(name, without):
    if name in flags.FLAGS:
        return not flags.FLAGS[name].boolean
    return name in without  # The flags of this process are not in `flags.FLAGS`.
