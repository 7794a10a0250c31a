"""Optional dependencies: a library has a command only with its extra `cli`."""

import importlib.util
import sys


def require_click(program: str, package: str) -> None:
    """Exits with 1 and one line on stderr if click is not installed.

    Args:
        program: the command that the user ran.
        package: the package whose extra installs click.
    """
    if importlib.util.find_spec("click") is None:
        print(f'{program}: click is not installed; run: pip install "{package}[cli]"', file=sys.stderr)
        sys.exit(1)
