"""How long the harness waits for a peer before it says that the peer failed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Deadlines:
    """In seconds; each can be set with an option of its name, as in `--case-seconds 20`."""

    build: float = 1800
    """A first build on two cores compiles every dependency: a few minutes in C++ and Rust. This stops a hung one."""

    ready: float = 30
    """A server on a virtual machine is ready in 1 to 3 s; another worker may keep every core busy meanwhile."""

    case: float = 60
    """The slowest case takes a few seconds. grpc's own runner gives 180 s, with the start of a container in it."""

    pair: float = 300
    """All cases of a client with a server take 5 to 20 s: so a client that hangs in each costs minutes, not an hour."""

    stop: float = 10
    """What `docker stop` gives before SIGKILL, and so PROTOCOL.md."""

    container: float = 180
    """One case of one of gRPC's own client images, as grpc's own runner has it."""
