"""The program `samehost-demo`, tuned with samehost_common.tuning."""

from samehost_common.program import run
from samehost_common.tuning import tune


def main() -> None:
    """Runs the command and exits."""
    tune()
    # It imports grpc, which has to be tuned before.
    from samehost_demo.commands import command  # noqa: PLC0415

    run(command, "samehost-demo")


if __name__ == "__main__":
    main()
