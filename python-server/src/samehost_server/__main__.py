"""The program `samehost-server`, tuned with samehost_common.tuning."""

from samehost_common.extras import require_click
from samehost_common.tuning import tune
from samehost_server import signals


def main() -> None:
    """Runs the command and exits."""
    require_click("samehost-server", "samehost-server")
    signals.listen()
    tune()
    # These import click, which may be missing, and grpc, which has to be tuned before.
    from samehost_common.program import run  # noqa: PLC0415
    from samehost_server.commands import command  # noqa: PLC0415

    try:
        run(command, "samehost-server")
    finally:
        signals.ignore()


if __name__ == "__main__":
    main()
