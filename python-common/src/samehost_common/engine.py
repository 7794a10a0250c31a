"""The engine that the libraries run on: grpcio, or samehost_native."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any

from samehost_common.errors import OptionError
from samehost_common.options import MOST_INT, channel_arguments, check_number
from samehost_common.tls import Pems

GRPCIO, NATIVE = ENGINES = ("grpcio", "native")

VARIABLE = "SAMEHOST_ENGINE"

_TIME, _TIMEOUT = "grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms"
_WITHOUT_CALLS = "grpc.keepalive_permit_without_calls"

NO_KEEPALIVE: Mapping[str, int] = {_TIME: MOST_INT, _TIMEOUT: 20_000, _WITHOUT_CALLS: 0}
"""The channel arguments of keepalive, with the defaults of C-core's client. The maximum as the time means no pings."""


def chosen_engine(engine: str | None) -> str:
    """Returns the engine to use: the given one, else that of the environment variable SAMEHOST_ENGINE, else grpcio.

    Raises:
        OptionError: the engine is unknown or not installed.
    """
    name, origin = (engine, "engine") if engine is not None else (os.environ.get(VARIABLE) or GRPCIO, VARIABLE)
    if name not in ENGINES:
        raise OptionError(f"invalid {origin} {name!r}: use {' or '.join(map(repr, ENGINES))}")
    if name == NATIVE and importlib.util.find_spec("samehost_native") is None:
        raise OptionError(
            f"invalid {origin} {name!r}: samehost_native is not installed; run: pip install samehost-native"
        )
    return name


def refuse_unsupported(name: str, value: object) -> None:
    """Checks that an option that the native engine does not support is not set.

    Raises:
        OptionError: the option is set.
    """
    if value:
        raise OptionError(f"engine 'native' does not support {name}; leave it out, or use engine 'grpcio'")


def native_arguments(own: Mapping[str, Any], users: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the channel arguments of the native engine: those of the library, replaced by those of a user.

    Args:
        own: all that the engine supports, with the values of the library.
        users: the option `options`.

    Raises:
        OptionError: the user's arguments are invalid, or the engine does not support one.
    """
    arguments = dict(channel_arguments(own, users))
    for name in sorted(arguments.keys() - own.keys()):
        refuse_unsupported(f"option {name}", True)
    return arguments


def keepalive(arguments: Mapping[str, Any]) -> tuple[float, float, bool] | None:
    """Returns the keepalive of the native engine in seconds, from channel arguments.

    Raises:
        OptionError: an argument is out of range.
    """
    for name in (_TIME, _TIMEOUT):
        check_number(f"option {name}", arguments[name], 1, MOST_INT, whole=True)
    if arguments[_TIME] == MOST_INT:
        return None
    return arguments[_TIME] / 1000, arguments[_TIMEOUT] / 1000, bool(arguments[_WITHOUT_CALLS])


def pems_of(tls: object) -> Pems | None:
    """Returns the PEM of the TLS options for the native engine; None without TLS.

    Raises:
        OptionError: the options are credentials of grpc, which hide what is in them.
    """
    if tls is not None and not isinstance(tls, Pems):
        raise OptionError(
            "engine 'native' cannot read credentials of grpc; use ca, certificate and key, or engine 'grpcio'"
        )
    return tls
