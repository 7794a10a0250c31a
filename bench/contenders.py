"""Who is measured: ours, plain grpcio, everyone else's, the peers of other languages, and each switch of the tuning."""

import json
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

TUNED_SYNC = ("engine", "allocator")
TUNED_ASYNC = (*TUNED_SYNC, "uvloop")


@dataclass(frozen=True)
class Contender:
    """A client and a server, each in a process of its own, and what connects them."""

    name: str
    client: End
    peer: str | None = None
    """The implementation of interop/peers.toml that serves; None where the client's own way does."""
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


def _ours(name: str, switches: tuple[str, ...], *, way: str = "samehost", asynchronous: bool = False) -> Contender:
    return Contender(name, End(way, asynchronous, switches), tuned=True, group="ablation")


RAW = Contender("raw socket", End("raw"))

PYTHON = (
    RAW,
    Contender("samehost", End("samehost")),
    Contender("samehost", End("samehost", switches=TUNED_SYNC), tuned=True),
    Contender("samehost", End("samehost", asynchronous=True)),
    Contender("samehost", End("samehost", asynchronous=True, switches=TUNED_ASYNC), tuned=True),
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
        End("samehost", switches=TUNED_SYNC),
        peer=peer,
        most_bytes=MIB,  # the peers keep gRPC's own limit of 4 MiB, which a body of 4 MiB is just beyond
        tuned=True,
        group="language",
    )
    for peer in ("go", "rust", "cpp", "java", "node", "dotnet")
)

ABLATION = (
    *(_ours(f"only {switch}", (switch,)) for switch in TUNED_SYNC),
    _ours("tuned + buffers", (*TUNED_SYNC, "buffers")),
    _ours("tuned + pinned", (*TUNED_SYNC, "pinned")),
    _ours("tuned + batch", (*TUNED_SYNC, "batch")),
    _ours("tuned + single-threaded streams", TUNED_SYNC, way="samehost_single_threaded"),
    *(_ours(f"only {switch}", (switch,), asynchronous=True) for switch in TUNED_ASYNC),
    *(
        _ours(f"all but {without}", tuple(each for each in TUNED_ASYNC if each != without), asynchronous=True)
        for without in TUNED_ASYNC
    ),
    _ours("tuned + buffers", (*TUNED_ASYNC, "buffers"), asynchronous=True),
    _ours("tuned + pinned", (*TUNED_ASYNC, "pinned"), asynchronous=True),
    _ours("tuned + batch", (*TUNED_ASYNC, "batch"), asynchronous=True),
)
"""With two switches, `only` the one is `all but` the other. What is only ever added did not pay, or is not ours."""

ALL = (*PYTHON, *LANGUAGES, *ABLATION)
