"""Runs the Python peer with the settings of samehost_common.tuning."""

from samehost_common.program import run
from samehost_common.tuning import tune


def main() -> None:
    """Run the command and exit."""
    tune()
    # After tune(), because it imports grpc.
    from samehost_interop_python.commands import command  # noqa: PLC0415

    run(command, "samehost-interop-python")


if __name__ == "__main__":
    main()
