"""Command line: flags derived from settings dataclasses, `--help`, one-line errors, signals.

absl-py parses the command line (see CONTRIBUTING.md for the reasons). Help texts, error messages
and values come from the declarations in the settings dataclasses. Nothing here imports Keras before
a command runs.
"""

import contextlib
import dataclasses
import difflib
import os
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from absl import flags

from zoo import compilation_cache, quiet, signals
from zoo.dry_run import DryRun
from zoo.settings import GROUPS, RENAMED, Checked, bounds_text, broken_rule, kind_of, shorten

HELP = ("-h", "--help", "-help", "--helpfull", "--helpshort")
WIDTH = 100


# === Flags ===


def parse(fields: Iterable[dataclasses.Field], arguments: list[str]) -> tuple[dict, list[str]]:
    """Parses command line arguments.

    Args:
        fields: Fields declared by `setting`. Each is a flag.
        arguments: Arguments without the program's name.

    Returns:
        `(values, positional)`: a dictionary with the settings that were given, and the other
        arguments.

    Raises:
        ValueError: In one line, with the nearest flag if a flag is unknown.
    """
    declared = flags.FlagValues()
    known = {field.name: field for field in fields}
    for name, field in known.items():
        kind, _ = kind_of(field)
        if kind is bool:
            flags.DEFINE_bool(name, None, "", flag_values=declared)
        elif field.metadata["repeated"]:
            flags.DEFINE_multi_string(name, None, "", flag_values=declared)
        else:
            flags.DEFINE_string(name, None, "", flag_values=declared)
    try:
        positional = declared(["", *arguments])[1:]
    except flags.UnrecognizedFlagError as error:
        raise ValueError(unknown_flag(error.flagname, known)) from None
    except flags.Error as error:
        raise ValueError(_plain_error(str(error))) from None
    given = {name: declared[name].value for name in known if declared[name].value is not None}
    return {name: _convert(known[name], text) for name, text in given.items()}, positional


def unknown_flag(name: str, known: Iterable[str]) -> str:
    """Returns the error line for an unknown flag, with the nearest known flag."""
    known = list(known)
    plain = name.removeprefix("no")
    renamed = RENAMED.get(name) or RENAMED.get(plain)
    if renamed in known:
        return f"unknown flag --{name}; it is now called --{renamed}"
    near = difflib.get_close_matches(name, known, 1, 0.5)
    near = near or [other for other in known if other.startswith(name) or name in other][:1]
    hint = f"did you mean --{near[0]}?" if near else "--help lists the flags"
    return f"unknown flag --{name}; {hint}"


def with_nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Returns a name with the nearest known name, for errors, or with another hint."""
    near = difflib.get_close_matches(name, known, 1)
    return f"{name!r}; {f'did you mean {near[0]}?' if near else otherwise}"


def _plain_error(text: str) -> str:
    """Rewords absl's errors: `flag --skip=x: Non-boolean argument to boolean flag`."""
    text = text.splitlines()[0]
    if found := re.match(r"flag --(\w+)=(.*?): \(?'?Non-boolean", text):
        return f"--{found[1]} must be true or false; received {shorten(found[2])}"
    return text


def _convert(field: dataclasses.Field, text: Any) -> Any:
    """Converts the text of a flag to the field's type, checks it, and expands a leading `~`."""
    kind, _ = kind_of(field)
    value = text
    if kind is tuple:
        parts = text if field.metadata["repeated"] else [p for p in text.split(",") if p.strip()]
        value = tuple(_expand(part.strip()) for part in parts)
    elif kind is str:
        value = _expand(text)
    elif kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            pass  # broken_rule names what is wrong
    if rule := broken_rule(kind, value, field.metadata):
        raise ValueError(f"--{field.name} must be {rule}; received {shorten(value)}")
    return value


def _expand(text: str) -> str:
    """Replaces a leading `~`. Shells leave the `~` of `--folder=~/run` unchanged."""
    return os.path.expanduser(text) if text.startswith("~") else text


# === Help ===


def help_text(
    command: str,
    description: str,
    fields: Iterable[dataclasses.Field],
    *,
    usage: str = "",
    preset: tuple[str, dict] | None = None,
) -> str:
    """Returns the text of `--help`.

    Args:
        command: Command, such as `"python -m zoo.birds_256"`.
        description: One or more paragraphs.
        fields: Fields declared by `setting`. Each is a flag.
        usage: Positional arguments, for the usage line.
        preset: Name and settings of a preset. They are shown next to the defaults.
    """
    groups: dict[str, list] = {}
    for field in fields:
        groups.setdefault(field.metadata["group"], []).append(field)
    others = [name for name in groups if name not in GROUPS]
    order = [name for name in (GROUPS[0], *others, *GROUPS[1:]) if name in groups]
    lines = [description.strip(), "", f"Usage: {command} {usage}[--flag=value ...]"]
    for name in order:
        lines += ["", f"{name.capitalize()}:"]
        for field in groups[name]:
            lines += _flag_help(field, preset)
    return "\n".join(lines)


def _flag_help(field: dataclasses.Field, preset: tuple[str, dict] | None) -> list[str]:
    kind, _ = kind_of(field)
    placeholder = {int: "N", float: "X", str: "TEXT", tuple: "A,B"}.get(kind, "")
    if field.metadata["repeated"]:
        placeholder = "TEXT"
    head = f"--[no]{field.name}" if kind is bool else f"--{field.name}={placeholder}"
    notes = []
    if field.metadata["choices"]:
        shown = [str(choice) for choice in field.metadata["choices"]]
        notes.append("choices: " + ", ".join(choice or "''" for choice in shown))
    bounds = {**field.metadata}
    if field.name == "seed":
        bounds["below"] = None  # 2**32
    if text := bounds_text(bounds):
        notes.append(text)
    if field.metadata["repeated"]:
        notes.append("may be given several times")
    if field.default not in (None, "", ()):
        notes.append(f"default: {_shown(field.default)}")
    if preset and field.name in preset[1] and preset[1][field.name] != field.default:
        notes.append(f"preset {preset[0]}: {_shown(preset[1][field.name])}")
    text = field.metadata["help"] + (f" ({'; '.join(notes)})" if notes else "")
    wrapped = textwrap.wrap(text, WIDTH - 30)
    first = f"  {head:26} " if len(head) <= 26 else f"  {head}\n{'':29}"
    return [first + wrapped[0], *(f"{'':29}{line}" for line in wrapped[1:])]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        ",".join(value) if isinstance(value, tuple) else f"{value!r}" if value == "" else str(value)
    )


def wants_help(arguments: list[str]) -> bool:
    """Returns whether the arguments ask for help."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(word in HELP for word in before)


# === Running ===


def show(text: str) -> None:
    """Prints a text. A closed pipe, such as that of `head`, is not an error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str) -> NoReturn:
    """Prints a one-line error and exits with code 1."""
    line = " ".join(str(message).splitlines())
    if "kerasgan.io.console" in sys.modules:
        sys.modules["kerasgan.io.console"].print_error(f"error: {line}")
    else:
        print(f"error: {line}", file=sys.stderr, flush=True)
    sys.exit(1)


def guarded(function: Callable[[], None]) -> None:
    """Runs a command. Expected errors and warnings for users become one line.

    SIGTERM and SIGHUP act like Ctrl-C.
    """
    quiet.hide_framework_logs()
    compilation_cache.keep_compilations()
    with signals.as_interrupts(), _short_warnings():
        try:
            function()
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr, flush=True)
            sys.exit(130)
        except Exception as error:
            if not _expected(error):
                raise
            memory = "not enough memory: " if isinstance(error, MemoryError) else ""
            fail(f"{memory}{error}")


@contextlib.contextmanager
def _short_warnings() -> Iterator[None]:
    """Context in which a UserWarning is shown without its place in the source code."""
    complete = warnings.formatwarning

    def line(message, category, *place):
        if issubclass(category, UserWarning):
            return f"warning: {' '.join(str(message).split())}\n"
        return complete(message, category, *place)

    warnings.formatwarning = line
    try:
        yield
    finally:
        warnings.formatwarning = complete


def _expected(error: Exception) -> bool:
    """Returns whether the user can solve an error. All other errors keep their traceback."""
    if isinstance(error, (ValueError, OSError, ImportError, MemoryError)):
        return True
    return type(error).__name__ == "NonFiniteLossError"


def main(
    program: str,
    settings: type[Checked],
    command: Callable[..., None],
    *,
    description: str | None,
    usage: str = "",
    make: Callable[[dict], Checked] | None = None,
    dry_run: Callable[..., None] | None = None,
) -> None:
    """Runs a tool: parses the command line into its settings and calls `command`.

    Args:
        program: Name of the program after `python -m`, such as `"zoo.sample"`.
        settings: Dataclass whose fields are the flags.
        command: Function of the settings. With `usage`, also of the list of positional arguments.
        description: Text of `--help`, the module's docstring.
        usage: Positional arguments for the usage line. Empty: the tool takes none.
        make: Function from the given flags to the settings. Defaults to `settings(**flags)`.
        dry_run: Function of the settings that replaces `command` with `--dry_run`. `None`: there is
            no such flag, or `settings` contains it.
    """
    arguments = sys.argv[1:]
    fields = dataclasses.fields(settings) + (dataclasses.fields(DryRun) if dry_run else ())
    if wants_help(arguments):
        show(help_text(f"python -m {program}", description or "", fields, usage=usage))
        return

    def run():
        values, positional = parse(fields, arguments)
        dry = bool(dry_run and values.pop("dry_run", False))
        if positional and not usage:
            raise ValueError(f"flags are given as --name=value; received {positional[0]!r}")
        made = (make or (lambda given: settings(**given)))(values)
        with tracked():
            used: Any = dry_run if dry else command
            used(made, positional) if usage else used(made)

    guarded(run)


def tracked() -> contextlib.AbstractContextManager:
    """Context in which error lines start on a line of their own, see `kerasgan.io.console`."""
    from kerasgan.io import console

    return console.track_lines()
