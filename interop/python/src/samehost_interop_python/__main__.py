"""The program of the Python peer, tuned: see samehost_proto.tuning."""

from samehost_proto.program import run
from samehost_proto.tuning import tune


def main() -> None:
    """Runs the command and exits."""
    tune()
    # Only now, as it imports grpc.
    from samehost_interop_python.commands import command  # noqa: PLC0415

    run(command, "samehost-interop-python")


if __name__ == "__main__":
    main()
