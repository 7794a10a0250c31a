"""The program `samehost`, tuned with samehost_common.tuning."""

from samehost_common.extras import require_click
from samehost_common.tuning import tune


def main() -> None:
    """Runs the command and exits."""
    require_click("samehost", "samehost-client")
    tune()
    # These import click, which may be missing, and grpc, which has to be tuned before.
    from samehost_client.commands import command  # noqa: PLC0415
    from samehost_common.program import run  # noqa: PLC0415

    run(command, "samehost")


if __name__ == "__main__":
    main()
