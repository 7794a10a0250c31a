"""Checks of options, so that a bad value is refused where it is given."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from samehost_common.errors import OptionError

MOST_BYTES = MOST_INT = 2**31 - 1
"""The largest value of an integer channel argument, which C-core keeps in an int."""

_EXAMPLE = "[('grpc.keepalive_time_ms', 10000)]"


def check_number(name: str, value: object, least: float, most: float, *, whole: bool = False) -> None:
    """Checks that an option is a number in a range.

    Raises:
        OptionError: it is no number, no whole one where it must be, or not from `least` to `most`.
    """
    kinds, kind = ((int,), "a whole number") if whole else ((int, float), "a number")
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise OptionError(
            f"{name} is {value!r}, a {type(value).__name__}; give {kind} from {least:.10g} to {most:.10g}"
        )
    if not least <= value <= most:  # false for NaN
        raise OptionError(f"{name} is {value}; give {kind} from {least:.10g} to {most:.10g}")


def check_wait(value: float | None) -> float | None:
    """Checks seconds to wait: None, or a number, which may be infinite.

    Returns:
        The timeout of a call that waits so long, in seconds; None where it has none.

    Raises:
        OptionError: it is no number, or negative.
    """
    if value is not None and value != math.inf:
        check_number("wait", value, 0, MOST_INT)
    return None if value == math.inf else value


def as_list(name: str, value: object) -> list[Any]:
    """Takes any iterable but a string for a list.

    Raises:
        OptionError: it is none.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise OptionError(f"{name} is {value!r}, a {type(value).__name__}; give a list")
    return list(value)


def instances(name: str, value: object, kinds: tuple[type, ...], which: str) -> list[Any]:
    """Takes any iterable of objects of some classes for a list.

    Args:
        name: of the option.
        value: what was given.
        kinds: the classes.
        which: what they are called, for the error.

    Raises:
        OptionError: it is no iterable, or has something else.
    """
    objects = as_list(name, value)
    for each in objects:
        if not isinstance(each, kinds):
            raise OptionError(f"{name} has {each!r}; give instances of {which}")
    return objects


def channel_arguments(own: Mapping[str, Any], users: Sequence[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """Returns the channel arguments of a user and, where the user has not set them, those of a library, each once.

    Of two equal names the first counts, as in C-core.

    Raises:
        OptionError: the user's are no pairs of a name and a value that C-core takes.
    """
    pairs = as_list("options", users)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise OptionError(f"options has {pair!r}; give pairs of a name and a value, as in {_EXAMPLE}")
        name, value = pair
        if isinstance(value, float) or value is None:
            raise OptionError(f"option {name} is {value!r}, a {type(value).__name__}; give an integer or a string")
        if isinstance(value, int):
            check_number(f"option {name}", int(value), -MOST_INT - 1, MOST_INT, whole=True)
    return tuple({**own, **dict(reversed(pairs))}.items())
