"""The engines below the libraries: grpcio's own, and samehost_native's."""

import importlib.util
import os

from samehost_common.errors import OptionError

GRPCIO, NATIVE = ENGINES = ("grpcio", "native")

VARIABLE = "SAMEHOST_ENGINE"


def chosen_engine(engine: str | None) -> str:
    """Returns the engine to use: the one that is given, or that of the environment variable SAMEHOST_ENGINE, or grpcio.

    Raises:
        OptionError: there is no such engine, or it is not installed.
    """
    name, origin = (engine, "engine") if engine is not None else (os.environ.get(VARIABLE) or GRPCIO, VARIABLE)
    if name not in ENGINES:
        raise OptionError(f"{origin} is {name!r}; use {' or '.join(map(repr, ENGINES))}")
    if name == NATIVE and importlib.util.find_spec("samehost_native") is None:
        raise OptionError(f"{origin} is {name!r}, and samehost_native is not installed; pip install samehost-native")
    return name


def refuse_unknown(name: str, value: object) -> None:
    """Refuses an option that the native engine does not have.

    Raises:
        OptionError: the option is given.
    """
    if value:
        raise OptionError(
            f"{name} is given, and engine 'native' does not have it; leave it out, or use engine 'grpcio'"
        )
