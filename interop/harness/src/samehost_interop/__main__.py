"""Runs the matrix: `python -m samehost_interop [--client GLOB] [--server GLOB] [--case GLOB] [options of pytest]`."""

import signal
import sys
from pathlib import Path

import pytest

from samehost_interop import matrix


def main() -> int:
    """Runs pytest on the matrix, in the root of the repository, and returns its exit code.

    What the user gives comes last, so it overrides what is given here.
    """
    # A supervisor that ends the run must not leave servers behind, so SIGTERM unwinds as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tests = Path(matrix.__file__).with_name("test_matrix.py")
    return pytest.main(
        [
            "-p",
            "samehost_interop.plugin",
            f"--rootdir={Path.cwd()}",
            # Two servers at a time: while one pair starts a process, the other computes.
            "--numprocesses=2",
            # A failure is a peer's, so the harness's own code would only hide it, and the report names each cell.
            "--tb=short",
            "-rN",
            *sys.argv[1:],
            str(tests),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
