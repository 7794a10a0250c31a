"""Optional dependencies: without its `cli` extra a library has no command."""

import importlib.util
import sys


def require_click(program: str, package: str) -> None:
    """Exits with 1 and one line on stderr where click is not installed.

    Args:
        program: the command that the user has called.
        package: whose extra brings click.
    """
    if importlib.util.find_spec("click") is None:
        print(f'{program}: click is not installed; run: pip install "{package}[cli]"', file=sys.stderr)
        sys.exit(1)
