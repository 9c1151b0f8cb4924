"""One line for whatever goes wrong while a file is read: the rule, the file's name, the reason."""

import contextlib
import json
import warnings
from pathlib import Path

from kerasgan.io.limits import MIB, LimitExceededError, check_depth

LONGEST = 300  # characters of a message
JSON_DEPTH = 200  # the configuration of a model of models is some 60 deep
JSON_BYTES = 4096 * MIB  # COCO's largest annotations have 450 MiB


def one_line(text, longest=LONGEST):
    """Text in one line; what is too long ends in dots."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return text if len(text) <= longest else text[: longest - 4].rstrip() + " ..."


def short_path(path, longest=160):
    """A path for a message: its end where it is long, with the file's name."""
    text = one_line(path, 10**6)
    return text if len(text) <= longest else "..." + text[3 - longest :]


def reason(error, longest=LONGEST):
    """What an exception says, in one line, without the quotes of a KeyError and without Keras' copy of the file."""
    told = str(error).strip("'\" \n\t")
    for tail in (" Full object config", "\n\nconfig=", "Full config"):
        told = told.split(tail)[0]
    told = one_line(told, longest)
    if isinstance(error, (KeyError, AttributeError, IndexError, TypeError)) or not told:
        told = one_line(f"{type(error).__name__} {told}", longest)
    return told


@contextlib.contextmanager
def reading(path, rule, kind=ValueError, others=()):
    """While a file is read, turns any exception into one line, `<rule>; received <path> (<reason>)`.

    An exception of `kind` that names the file is kept, and cut to one line if need be; so is any of a `kind` of this
    package's own, which names its file. Warnings of the libraries that read are errors here: they tell of damage.

    Args:
        path: the file.
        rule: what the file must be, such as "statistics must be an .npz file with mu and sigma"; or with the file in
            it, "{path} must be whole", and the reason follows behind a colon.
        kind: a `ValueError` or a class of them, of which the new exception is.
        others: classes of exceptions that are kept too where they name the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SyntaxWarning)
            warnings.filterwarnings(
                "error", category=DeprecationWarning, module=r"kerasgan\.io|numpy"
            )
            yield
    except Exception as error:  # what a broken file raises depends on where it breaks
        name = Path(path).name
        told = name in str(error)
        if (
            isinstance(error, kind)
            and (told or kind is not ValueError)
            or told
            and isinstance(error, others)
        ):
            if len(str(error)) <= LONGEST and "\n" not in str(error):
                raise
            raise type(error)(_cut(str(error), path)) from None
        raise kind(refusal(rule, path, error)) from None


def refusal(rule, path, error):
    """`<rule>; received <path> (<reason>)` in at most `LONGEST` characters: first the reason is cut."""
    place = short_path(path)
    if "{path}" in rule:
        rule = rule.replace("{path}", place)
        return f"{rule}: {reason(error, LONGEST - len(rule) - 2)}"
    rule = one_line(rule, LONGEST - len(place) - 50)
    return f"{rule}; received {place} ({reason(error, LONGEST - len(rule) - len(place) - 14)})"


def _cut(text, path):
    """A message that names the file, shortened so that it still does."""
    text = one_line(text.replace(str(path), short_path(path)), 10**6)
    if len(text) <= LONGEST or short_path(path) in text[: LONGEST - 4]:
        return one_line(text)
    return one_line(f"{short_path(path)}: {text}")


def parse_json(text, what="the JSON"):
    """JSON that is at most `JSON_DEPTH` deep."""
    if len(text) > JSON_BYTES:
        raise LimitExceededError(
            f"{what} has {len(text):,} characters; at most {JSON_BYTES:,} are read"
        )
    try:
        content = json.loads(text)
    except RecursionError:
        raise LimitExceededError(
            f"{what} holds containers more than {JSON_DEPTH} deep in each other"
        ) from None
    check_depth(content, JSON_DEPTH, what)
    return content


def read_json(path, rule, kind=ValueError, shape=object):
    """The content of a JSON file, in one line where it cannot be read or is no `shape` (a class).

    Raises:
        OSError: no such file.
        ValueError: of `kind`; it is no JSON, no UTF-8, too deep or no `shape`.
    """
    data = Path(path).read_bytes()
    with reading(path, rule, kind):
        content = parse_json(data.decode("utf-8-sig"))
        if not isinstance(content, shape):
            raise TypeError(f"it holds a {type(content).__name__}")
    return content
