"""Lists the contenders: samehost, grpcio, alternatives, the peers of other languages, and each switch of the tuning."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal, Self, get_args

from bench.works import MAIN, MIB, Kind, Work

Group = Literal["python", "language", "ablation"]


@dataclass(frozen=True)
class End:
    """One process: a module of bench.ways, and its switches."""

    way: str
    asynchronous: bool = False
    switches: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the argument of the process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the argument of the process."""
        end = json.loads(text)
        return cls(end["way"], end["asynchronous"], tuple(end["switches"]))


ALL_KINDS: tuple[Kind, ...] = get_args(Kind)
_HTTP_1_KINDS: tuple[Kind, ...] = ("unary", "server_stream", "client_stream")

TUNED_SYNC = ("engine", "allocator", "streams")
TUNED_ASYNC = ("engine", "allocator", "uvloop")


@dataclass(frozen=True)
class Contender:
    """A client and a server, each in its own process, and their transport."""

    name: str
    client: End
    peer: str | None = None
    """The peer of interop/peers.toml that serves. None: the same way as the client."""
    module: str | None = None
    """A module that the environment may lack. Without it, the contender is left out."""
    transport: Literal["unix", "tcp"] = "unix"
    kinds: tuple[Kind, ...] = ALL_KINDS
    most_bytes: int = 4 * MIB
    tuned: bool = False
    group: Group = "python"

    @property
    def mode(self) -> str:
        """The mode of the client."""
        return "asyncio" if self.client.asynchronous else "sync"

    @property
    def compiles(self) -> bool:
        """Whether its server may compile at run time and start slowly, like those in Java and .NET."""
        return self.group == "language"

    def __str__(self) -> str:
        """Return the name in tables."""
        tuned = ", tuned" if self.tuned and self.group == "python" else ""
        return f"{self.name} {self.mode}{tuned}"

    def does(self, work: Work) -> bool:
        """Return whether it supports this kind of call and this size, and takes part in this work."""
        if self.group == "ablation" and work not in MAIN:
            return False
        return work.kind in self.kinds and work.bytes <= self.most_bytes


def _ours(switches: tuple[str, ...], *, asynchronous: bool = False) -> End:
    return End("samehost_streams" if "streams" in switches else "samehost", asynchronous, switches)


def _native(name: str, way: str = "samehost_native", *, asynchronous: bool = False, tuned: bool = False) -> Contender:
    switches = ("uvloop",) * asynchronous + ("allocator",) * tuned
    return Contender(name, End(way, asynchronous, switches), module="samehost_native", tuned=tuned)


RAW = Contender("raw socket", End("raw"))

PYTHON = (
    RAW,
    Contender("samehost", End("samehost")),
    Contender("samehost", _ours(TUNED_SYNC), tuned=True),
    Contender("samehost", End("samehost", asynchronous=True)),
    Contender("samehost", _ours(TUNED_ASYNC, asynchronous=True), tuned=True),
    _native("samehost, native"),
    _native("samehost, native", tuned=True),
    _native("samehost, native", asynchronous=True),
    _native("samehost, native", asynchronous=True, tuned=True),
    _native("samehost, native client -> grpcio", "native_client"),
    _native("grpcio -> samehost, native server", "native_server"),
    Contender("grpcio", End("grpcio")),
    Contender("grpcio", End("grpcio", asynchronous=True)),
    Contender("grpcio, TCP", End("grpcio"), transport="tcp"),
    Contender("grpcio, TCP", End("grpcio", asynchronous=True), transport="tcp"),
    Contender("grpclib", End("grpc_lib", asynchronous=True, switches=("uvloop",))),
    Contender(
        "connectrpc, TCP",
        End("connect_rpc", asynchronous=True, switches=("uvloop",)),
        transport="tcp",
        kinds=_HTTP_1_KINDS,
    ),
    Contender("HTTP, uvicorn", End("http"), kinds=_HTTP_1_KINDS),
    Contender("ZeroMQ", End("zeromq")),
    Contender("Arrow Flight", End("flight")),
    Contender("multiprocessing", End("connection")),
)

LANGUAGES = tuple(
    Contender(
        f"samehost -> {peer}",
        _ours(TUNED_SYNC),
        peer=peer,
        most_bytes=MIB,  # a message with a body of 4 MiB exceeds the peers' limit of 4 MiB
        tuned=True,
        group="language",
    )
    for peer in ("go", "rust", "cpp", "java", "node", "dotnet")
)


def _ablation(tuned: tuple[str, ...], *, asynchronous: bool) -> Iterator[Contender]:
    """Return each switch alone, all but each, and additional switches, which cost too much or are left to the user."""
    chosen = {
        **{f"only {switch}": (switch,) for switch in tuned},
        **{f"all but {switch}": tuple(each for each in tuned if each != switch) for switch in tuned},
        **{f"tuned + {switch}": (*tuned, switch) for switch in ("client engine", "buffers", "pinned", "batch")},
    }
    for name, switches in chosen.items():
        yield Contender(name, _ours(switches, asynchronous=asynchronous), tuned=True, group="ablation")


ABLATION = (*_ablation(TUNED_SYNC, asynchronous=False), *_ablation(TUNED_ASYNC, asynchronous=True))

ALL = (*PYTHON, *LANGUAGES, *ABLATION)
