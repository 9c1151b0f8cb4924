"""The command of this process as a line that a shell takes as it was meant: quoted, without what is not wanted."""

import shlex
import sys

from absl import flags


def shell_command(module, without=()):
    """`python -m <module>` and this process' arguments, as one line for a POSIX shell.

    Args:
        module: such as `zoo.mnist_gan`.
        without: names of flags to leave out, with their values, however they were given: `--name=value`,
            `--name value`, `-name value`, or of a switch `--name` and `--noname`.
    """
    return shlex.join(["python", "-m", module, *_kept(sys.argv[1:], without)])


def _kept(words, without):
    kept, left = [], list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return [*kept, word, *left]
        name = _flag(word)
        value = (
            [left.pop(0)]
            if name and left and "=" not in word and _takes_a_value(name, without)
            else []
        )
        if name is None or _plain(name, without) not in without:
            kept += [word, *value]
    return kept


def _flag(word):
    dashes = len(word) - len(word.lstrip("-"))
    return word.lstrip("-").partition("=")[0] if dashes in (1, 2) and len(word) > dashes else None


def _plain(name, without):
    """The flag that `--noname` is about."""
    return (
        name[2:] if name[:2] == "no" and name not in flags.FLAGS and name[2:] in without else name
    )


def _takes_a_value(name, without):
    if name in flags.FLAGS:
        return not flags.FLAGS[name].boolean
    return name in without  # a flag of no one: absl has refused it, or nobody has read the flags
