"""Who is measured: ours, plain grpcio, everyone else's, the peers of other languages, and each switch of the tuning."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal, Self, get_args

from bench.works import MAIN, MIB, Kind, Work

Group = Literal["python", "language", "ablation"]


@dataclass(frozen=True)
class End:
    """One process: a module of bench.ways, and what is switched on in it."""

    way: str
    asynchronous: bool = False
    switches: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As the process is told."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What the process was told."""
        end = json.loads(text)
        return cls(end["way"], end["asynchronous"], tuple(end["switches"]))


ALL_KINDS: tuple[Kind, ...] = get_args(Kind)
_HTTP_1_KINDS: tuple[Kind, ...] = ("unary", "server_stream", "client_stream")

TUNED_SYNC = ("engine", "allocator", "streams")
TUNED_ASYNC = ("engine", "allocator", "uvloop")


@dataclass(frozen=True)
class Contender:
    """A client and a server, each in a process of its own, and what connects them."""

    name: str
    client: End
    peer: str | None = None
    """The implementation of interop/peers.toml that serves; None where the client's own way does."""
    module: str | None = None
    """A module that the environment of the bench may lack; without it the contender is left out."""
    transport: Literal["unix", "tcp"] = "unix"
    kinds: tuple[Kind, ...] = ALL_KINDS
    most_bytes: int = 4 * MIB
    tuned: bool = False
    group: Group = "python"

    @property
    def mode(self) -> str:
        """How the client calls."""
        return "asyncio" if self.client.asynchronous else "sync"

    @property
    def compiles(self) -> bool:
        """Whether its server may compile while it runs, as Java's and .NET's do, and is slow at first."""
        return self.group == "language"

    def __str__(self) -> str:
        """As tables name it."""
        tuned = ", tuned" if self.tuned and self.group == "python" else ""
        return f"{self.name} {self.mode}{tuned}"

    def does(self, work: Work) -> bool:
        """Whether it has that kind of call, takes bodies of that size, and is there for that work."""
        if self.group == "ablation" and work not in MAIN:
            return False
        return work.kind in self.kinds and work.bytes <= self.most_bytes


def _ours(switches: tuple[str, ...], *, asynchronous: bool = False) -> End:
    return End("samehost_streams" if "streams" in switches else "samehost", asynchronous, switches)


def _native(name: str, way: str = "samehost_native", *, asynchronous: bool = False) -> Contender:
    end = End(way, asynchronous, ("uvloop",) if asynchronous else ())
    return Contender(name, end, module="samehost_native")


RAW = Contender("raw socket", End("raw"))

PYTHON = (
    RAW,
    Contender("samehost", End("samehost")),
    Contender("samehost", _ours(TUNED_SYNC), tuned=True),
    Contender("samehost", End("samehost", asynchronous=True)),
    Contender("samehost", _ours(TUNED_ASYNC, asynchronous=True), tuned=True),
    _native("samehost, native"),
    _native("samehost, native", asynchronous=True),
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
        most_bytes=MIB,  # the peers keep gRPC's own limit of 4 MiB, which a body of 4 MiB is just beyond
        tuned=True,
        group="language",
    )
    for peer in ("go", "rust", "cpp", "java", "node", "dotnet")
)


def _ablation(tuned: tuple[str, ...], *, asynchronous: bool) -> Iterator[Contender]:
    """Each switch alone, all but each, and those that are only added: they cost too much, or are not ours to set."""
    chosen = {
        **{f"only {switch}": (switch,) for switch in tuned},
        **{f"all but {switch}": tuple(each for each in tuned if each != switch) for switch in tuned},
        **{f"tuned + {switch}": (*tuned, switch) for switch in ("client engine", "buffers", "pinned", "batch")},
    }
    for name, switches in chosen.items():
        yield Contender(name, _ours(switches, asynchronous=asynchronous), tuned=True, group="ablation")


ABLATION = (*_ablation(TUNED_SYNC, asynchronous=False), *_ablation(TUNED_ASYNC, asynchronous=True))

ALL = (*PYTHON, *LANGUAGES, *ABLATION)
