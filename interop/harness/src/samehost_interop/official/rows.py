"""Reads official.toml, which has everything that the harness knows about gRPC's client images."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from samehost_interop.cases import CASES
from samehost_interop.official import certificates
from samehost_interop.toml_table import Table, load_toml

PREFIX = "official-"
"""The prefix of the names of these clients, because our implementations have the same names."""


class Reach(enum.Enum):
    """How a client connects to a Unix socket. `official.toml` explains each value."""

    UNIX = "unix"
    SUFFIX = "suffix"
    BRIDGE = "bridge"


TLS_CASES = (
    "empty_unary",
    "large_unary",
    "ping_pong",
    "custom_metadata",
    "status_code_and_message",
    "cancel_after_first_response",
)
"""The cases that also run over TLS: each way to end a call, small and large, unary and streaming. The other cases test
the layers above TLS."""


@dataclass(frozen=True)
class Tls:
    """The options of a client for TLS, and the certificate of its server.

    Attributes:
        arguments: additional options; `{ca}` stands for the file of the authority that is created for the run.
        certificates: a command in the client's image that prints a PEM certificate and its key; `""` if the client
            accepts the authority of the run.
    """

    arguments: str
    certificates: str


@dataclass(frozen=True)
class Stage:
    """The stage of a Dockerfile that builds the image of a client."""

    dockerfile: str
    target: str

    def __str__(self) -> str:
        """Return the name in reports."""
        return f"{self.dockerfile}, {self.target}"


@dataclass(frozen=True)
class OfficialClient:
    """One image: a table of official.toml with one of its tags, with or without TLS."""

    name: str
    language: str
    image: str | Stage
    folder: str
    command: str
    reach: Reach
    cases: tuple[str, ...]
    unknown: Mapping[str, str]
    arguments: Mapping[str, str]
    optional: bool
    tls: Tls | None = None

    def command_line(self, case: str, host: str, port: int) -> str:
        """Return the command line for bash in the container."""
        arguments = [
            f"--server_host={host}",
            f"--server_port={port}",
            f"--use_tls={'true' if self.tls else 'false'}",
            f"--test_case={case}",
            self.arguments.get(case, ""),
        ]
        if self.tls:
            arguments.append(self.tls.arguments.replace("{ca}", certificates.AUTHORITY))
        command = self.command.replace("{arguments}", " ".join(filter(None, arguments)))
        return command.replace("{socket}", host.removeprefix("unix://"))


def load_official(file: Path, *, all_tags: bool) -> dict[str, OfficialClient]:
    """Read official.toml, and return the clients by name, for all tags or for the first tag of each table.

    Raises:
        ConfigurationError: the file cannot be read, or a table is invalid.
    """
    clients = [client for name, content in load_toml(file).items() for client in _clients(file, name, content)]
    # The client of the first tag has the name of the table. The others have name and tag.
    return {client.name: client for client in clients if all_tags or "@" not in client.name}


def _clients(file: Path, name: str, content: object) -> Sequence[OfficialClient]:
    table = Table(file, f"[{name}]", content)
    language, folder, command = table.text("language"), table.text("folder"), table.text("command")
    stage = _stage(table)
    images: Sequence[str | Stage] = [stage] if stage else table.words("images")
    optional = table.flag("optional")
    unknown, arguments, extra = table.texts("unknown"), table.texts("arguments"), table.words("extra", required=False)
    cases = table.words("cases", required=False) or (*CASES, *extra)
    reach = _reach(table)
    tls = _tls(file, name, table.texts("tls"))
    table.end()
    if "{arguments}" not in command and "{socket}" not in command:
        raise table.error("command", f"{command!r} has neither {{arguments}} nor {{socket}}; add one of them")
    for case in (*unknown, *arguments):
        if case not in cases:
            raise table.error("unknown", f"{case!r} is not a case; choose from {', '.join(cases)}")
    clients = [
        OfficialClient(
            name=f"{PREFIX}{name}" if number == 0 else f"{PREFIX}{name}@{str(image).rpartition(':')[2]}",
            language=language,
            image=image,
            folder=folder,
            command=command,
            reach=reach,
            cases=tuple(case for case in cases if case not in unknown),
            unknown=unknown,
            arguments=arguments,
            optional=optional,
        )
        for number, image in enumerate(images)
    ]
    if tls is None:
        return clients
    return [*clients, replace(clients[0], name=f"{PREFIX}{name}-tls", cases=TLS_CASES, unknown={}, tls=tls)]


def _stage(table: Table) -> Stage | None:
    dockerfile = table.text("dockerfile", required=False)
    return Stage(dockerfile, table.text("target")) if dockerfile else None


def _tls(file: Path, name: str, content: dict[str, str]) -> Tls | None:
    if not content:
        return None
    table = Table(file, f"[{name}.tls]", content)
    tls = Tls(arguments=table.text("arguments"), certificates=table.text("certificates", required=False))
    table.end()
    return tls


def _reach(table: Table) -> Reach:
    text = table.text("reach")
    try:
        return Reach(text)
    except ValueError as error:
        raise table.error(
            "reach", f"{text!r} is invalid; choose from {', '.join(each.value for each in Reach)}"
        ) from error
