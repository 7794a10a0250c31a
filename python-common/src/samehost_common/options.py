"""Checks of options, so that an invalid value fails where it is given."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from samehost_common.errors import OptionError

MOST_BYTES = MOST_INT = 2**31 - 1
"""The maximum of an integer channel argument, because C-core stores it in an int."""

_EXAMPLE = "[('grpc.keepalive_time_ms', 10000)]"


def check_number(name: str, value: object, least: float, most: float, *, whole: bool = False) -> None:
    """Checks that an option is a number in a range.

    Raises:
        OptionError: the value is not a number, not a whole number where one is required, or not from `least` to
            `most`.
    """
    kinds, kind = ((int,), "a whole number") if whole else ((int, float), "a number")
    # The comparison is false for NaN.
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        raise OptionError(f"invalid {name} {value!r}: use {kind} from {least:.10g} to {most:.10g}")


def check_wait(value: float | None) -> float | None:
    """Checks the seconds to wait: None, or a number, which may be infinite.

    Returns:
        The timeout of a call that waits so long, in seconds; None means no timeout.

    Raises:
        OptionError: the value is not a number, or it is negative.
    """
    if value is not None and value != math.inf:
        check_number("wait", value, 0, MOST_INT)
    return None if value == math.inf else value


def as_list(name: str, value: object) -> list[Any]:
    """Returns the items of an iterable.

    Raises:
        OptionError: the value is not an iterable, or it is a string or a mapping.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise OptionError(f"invalid {name} {value!r}: use a list")
    return list(value)


def instances(name: str, value: object, kinds: tuple[type, ...], which: str) -> list[Any]:
    """Returns the items of an iterable whose items are instances of some classes.

    Args:
        name: the name of the option.
        value: the value of the option.
        kinds: the classes.
        which: the names of the classes, for the error.

    Raises:
        OptionError: the value is not an iterable, or an item is not an instance.
    """
    objects = as_list(name, value)
    for each in objects:
        if not isinstance(each, kinds):
            raise OptionError(f"invalid {name} {each!r}: use instances of {which}")
    return objects


def channel_arguments(own: Mapping[str, Any], users: Sequence[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """Merges the channel arguments of a library with those of a user, which replace them.

    Of two equal names of the user, the first counts, as in C-core.

    Raises:
        OptionError: the user's arguments are not pairs of a name and a value that C-core accepts.
    """
    pairs = as_list("options", users)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise OptionError(f"invalid options {pair!r}: use pairs of a name and a value, as in {_EXAMPLE}")
        name, value = pair
        if isinstance(value, float) or value is None:
            raise OptionError(f"invalid option {name} {value!r}: use an integer or a string")
        if isinstance(value, int):
            check_number(f"option {name}", int(value), -MOST_INT - 1, MOST_INT, whole=True)
    return tuple({**own, **dict(reversed(pairs))}.items())
