"""Settings: dataclasses whose fields say what they may hold, checked when they are made."""

import dataclasses
import math
import numbers


def setting(
    default, text, *, least=None, above=None, most=None, below=None, choices=None, even=None
):
    """A dataclass field with its help text, which is also the flag's, and what it may hold.

    Args:
        default: the value of whoever gives none.
        text: the help.
        least, above, most, below: bounds of a number: >=, >, <= and <.
        choices: the values that there are.
        even: a divisor of the number.
    """
    rules = {
        "least": least,
        "above": above,
        "most": most,
        "below": below,
        "choices": choices,
        "even": even,
    }
    return dataclasses.field(default=default, metadata={"help": text, **rules})


_WORDS = {"least": "at least", "above": "above", "most": "at most", "below": "below"}
_HOLDS = {
    "least": lambda value, bound: value >= bound,
    "above": lambda value, bound: value > bound,
    "most": lambda value, bound: value <= bound,
    "below": lambda value, bound: value < bound,
}
_KINDS = {
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    str: (str, "a text"),
}


def broken_rule(kind, value, rules):
    """What a value must be, in words, if it is not; None if it is."""
    if kind is bool:
        return None if isinstance(value, bool) else "true or false"
    if kind not in _KINDS:
        return None
    wanted, words = _KINDS[kind]
    if not isinstance(value, wanted) or isinstance(value, bool):
        return words
    if rules.get("choices") is not None and value not in rules["choices"]:
        *others, last = [str(choice) or "''" for choice in rules["choices"]]
        return f"{', '.join(others)} or {last}" if others else last
    if kind is str:
        return "a text without NUL" if "\0" in value else None
    if not math.isfinite(value):
        return "finite"
    bounds = {name: rules[name] for name in _WORDS if rules.get(name) is not None}
    if not all(_HOLDS[name](value, bound) for name, bound in bounds.items()):
        return " and ".join(f"{_WORDS[name]} {bound}" for name, bound in bounds.items())
    if rules.get("even") and value % rules["even"]:
        return f"a multiple of {rules['even']}"
    return None


@dataclasses.dataclass(frozen=True)
class Checked:
    """Base of settings: each value is checked by its field's rules when the object is made.

    Raises ValueError, one line with the setting, its rule and what was received.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if rule := broken_rule(field.type, value, field.metadata):
                raise ValueError(f"{field.name} must be {rule}; received {shown(value)}")


def shown(value):
    """A value in an error's line: texts in quotes, long ones cut."""
    told = (
        repr(value)
        if isinstance(value, str) or not isinstance(value, numbers.Number)
        else str(value)
    )
    return told if len(told) <= 80 else f"{told[:80]}…"
