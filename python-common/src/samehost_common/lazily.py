"""Names of a package that are imported when they are asked for (PEP 562).

A program chooses grpc's engine before grpc is imported, and running `python -m package` imports the package first.
"""

import importlib
from collections.abc import Callable, Mapping


def attributes(homes: Mapping[str, str]) -> Callable[[str], object]:
    """A package's `__getattr__` that finds each name in the module given for it, or as that very module."""

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"there is no {name!r} in this package")
        module = importlib.import_module(homes[name])
        return module if homes[name].endswith(f".{name}") else getattr(module, name)

    return find
