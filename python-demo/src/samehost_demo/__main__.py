"""The program `samehost-demo`, tuned: see samehost_common.tuning."""

from samehost_common.program import run
from samehost_common.tuning import tune


def main() -> None:
    """Runs the command and exits."""
    tune()
    # Only now, as it imports grpc.
    from samehost_demo.commands import command  # noqa: PLC0415

    run(command, "samehost-demo")


if __name__ == "__main__":
    main()
