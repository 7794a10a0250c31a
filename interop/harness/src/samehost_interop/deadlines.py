"""Defines how long the harness waits for a peer before the peer fails."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Deadlines:
    """The deadlines in seconds. Each has an option of its name, such as `--case-seconds 20`."""

    build: float = 1800
    """A first build compiles every dependency, which takes a few minutes in C++ and Rust on two cores. The deadline
    stops a build that hangs."""

    ready: float = 30
    """A server on a JVM or a similar runtime is ready in 1 to 3 s. Another worker may keep all cores busy."""

    case: float = 60
    """The slowest case takes a few seconds. grpc's own runner allows 180 s, including the start of a container."""

    pair: float = 300
    """All cases of a pair take 5 to 20 s. The limit matters for a client that hangs in every case."""

    stop: float = 10
    """The time between SIGTERM and SIGKILL of `docker stop`, which PROTOCOL.md uses too."""

    container: float = 180
    """The time for one case of one of gRPC's own client images, as in grpc's own runner."""
