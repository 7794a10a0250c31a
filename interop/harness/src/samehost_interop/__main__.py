"""Runs the matrix: `python -m samehost_interop [--client GLOB] [--server GLOB] [--case GLOB] [PYTEST OPTIONS]`."""

import signal
import sys
from pathlib import Path

import pytest

from samehost_interop import matrix


def main() -> int:
    """Run pytest on the matrix in the root of the repository, and return its exit code.

    The user's options come last and override the options here.
    """
    # SIGTERM unwinds like Ctrl-C, so that a supervisor that ends the run leaves no servers behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tests = Path(matrix.__file__).with_name("test_matrix.py")
    return pytest.main(
        [
            "-p",
            "samehost_interop.plugin",
            f"--rootdir={Path.cwd()}",
            # Two servers at a time, because starting a process leaves a core idle.
            "--numprocesses=2",
            # A failure comes from a peer, so the code of the harness would only hide it. The report names each cell.
            "--tb=short",
            "-rN",
            *sys.argv[1:],
            str(tests),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
