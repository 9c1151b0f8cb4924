"""The command line of this process as one line that a shell can run again."""

import shlex
import sys
from collections.abc import Collection


def shell_command(module: str, without: Collection[str] = ()) -> str:
    """Returns `python -m <module>` with this process' arguments, quoted for a POSIX shell.

    Args:
        module: Module, such as `"zoo.mnist_gan"`, or a module and its command, such as
            `"benchmarks gpu"`.
        without: Names of flags to leave out, with their values: `--name=value`, `--name value` or
            `-name value`.
    """
    return shlex.join(["python", "-m", *module.split(), *_kept(sys.argv[1:], without)])


def _kept(words, without):
    kept, left = [], list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return [*kept, word, *left]
        if _flag(word) not in without:
            kept.append(word)
        elif "=" not in word and left:
            left.pop(0)  # the value
    return kept


def _flag(word):
    """Returns the name of a flag, or `None` for other words."""
    dashes = len(word) - len(word.lstrip("-"))
    return word.lstrip("-").partition("=")[0] if dashes in (1, 2) and len(word) > dashes else None
