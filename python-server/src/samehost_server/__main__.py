"""The program `samehost-server`, tuned: see samehost_proto.tuning."""

from samehost_proto.program import run
from samehost_proto.tuning import tune
from samehost_server import signals


def main() -> None:
    """Runs the command and exits."""
    signals.listen()
    tune()
    # Only now, as it imports grpc.
    from samehost_server.commands import command  # noqa: PLC0415

    try:
        run(command, "samehost-server")
    finally:
        signals.ignore()


if __name__ == "__main__":
    main()
