"""Lazy imports: the names of a package are imported at their first use (PEP 562).

A program has to choose grpc's engine before it imports grpc, and `python -m package` imports the package first.
"""

import importlib
from collections.abc import Callable, Mapping


def attributes(homes: Mapping[str, str]) -> Callable[[str], object]:
    """Returns the `__getattr__` of a package.

    Args:
        homes: the module of each name. A module that has the name itself is returned as it is.
    """

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"this package has no attribute {name!r}")
        module = importlib.import_module(homes[name])
        return module if homes[name].endswith(f".{name}") else getattr(module, name)

    return find
