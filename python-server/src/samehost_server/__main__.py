"""The program `samehost-server`, tuned: see samehost_common.tuning."""

from samehost_common.program import run
from samehost_common.tuning import tune
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
