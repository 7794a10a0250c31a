"""Tests of the configuration files. Each error is one line with its remedy."""

import sys
from pathlib import Path

import pytest

from samehost_interop.cases import CASES
from samehost_interop.cells import all_cells, select
from samehost_interop.errors import ConfigurationError
from samehost_interop.known_failing import KnownFailing, load_known_failing
from samehost_interop.peers import Peer, load_peers

MATRIX = all_cells(["go", "java"], ["go", "java"], CASES)


def write(folder: Path, text: str) -> Path:
    file = folder / "file.toml"
    file.write_text(text, encoding="utf-8")
    return file


def peer(**rows: str | None) -> str:
    complete: dict[str, str | None] = {
        "language": '"Go"',
        "library": '"grpc-go"',
        "serve": '["bin/peer"]',
        "client": '["bin/peer"]',
        "needs": '["go"]',
    }
    return "[go]\n" + "".join(f"{key} = {value}\n" for key, value in (complete | rows).items() if value is not None)


def entry(cells: str = '["go->*:*"]', reason: str = '"Why."', link: str = '"https://example.org"') -> str:
    return f"[[known_failing]]\ncells = {cells}\nreason = {reason}\nlink = {link}\n"


def test_all_keys_of_a_peer_are_read(tmp_path: Path) -> None:
    text = peer(
        build='[["go", "build"]]',
        lint='[["go", "vet"]]',
        test='[["go", "test"]]',
        client='["{python}", "-m", "x"]',
        dockerfile='"go/Dockerfile"',
        container='["--aio"]',
        reference="true",
    )
    assert load_peers(write(tmp_path, text)) == {
        "go": Peer(
            name="go",
            language="Go",
            library="grpc-go",
            build=(("go", "build"),),
            serve=("bin/peer",),
            client=(sys.executable, "-m", "x"),
            needs=("go",),
            lint=(("go", "vet"),),
            test=(("go", "test"),),
            dockerfile="go/Dockerfile",
            container=("--aio",),
            reference=True,
            tls=False,
            takeover=False,
            folder=tmp_path,
        )
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no peer; add a table for each implementation"),
        ("[go", "not TOML"),
        ("go = 1", "[go]: 1 is not a table"),
        ("[Go]", "[Go]: name: 'Go' is invalid"),
        (peer(language=None), "[go]: language: missing; add it"),
        (peer(library="7"), "[go]: library: 7 is not a text"),
        (peer(serve='"bin/peer"'), "[go]: serve: 'bin/peer' is not a list of words"),
        (peer(client="[]"), "[go]: client: no command"),
        (peer(needs="[1]"), "[go]: needs: [1] is not a list of words"),
        (peer(build='["make"]'), "[go]: build: 'make' is not a list of words"),
        (peer(build="[[]]"), "[go]: build: [[]] is not a list of commands"),
        (peer(port="1"), "[go]: port: unknown key"),
    ],
)
def test_an_error_in_peers_is_one_line_with_file_table_and_key(tmp_path: Path, text: str, fault: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigurationError) as raised:
        load_peers(file)
    message = str(raised.value)
    assert fault in message
    assert message.startswith(f"{file}: ")
    assert "\n" not in message


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*: No such file or directory; run in the root"):
        load_peers(tmp_path / "peers.toml")


def test_known_failures_are_read_and_cover_cells(tmp_path: Path) -> None:
    assert load_known_failing(write(tmp_path, "# nothing"), MATRIX) == []
    (known,) = load_known_failing(write(tmp_path, entry()), MATRIX)
    assert known == KnownFailing(cells=("go->*:*",), reason="Why.", link="https://example.org")
    assert [cell for cell in MATRIX if known.covers(cell)] == [cell for cell in MATRIX if cell.client == "go"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (entry() + entry(cells="[]"), "[[known_failing]] number 2: cells: no glob"),
        (entry(cells='["go->*:*", "rust->*:*"]'), "number 1: cells: 'rust->*:*' matches no cell"),
        (entry(reason='" "'), "number 1: reason: ' ' is not a text"),
        (entry(link='"http://example.org"'), "number 1: link: 'http://example.org' is not an https address"),
        ('[[known_failing]]\ncells = ["*"]\nlink = "https://example.org"', "number 1: reason: missing; add it"),
        ('[[known_failing]]\ncells = ["*"]\nreason = "Why."', "number 1: link: missing; add it"),
        (entry() + "until = 2027", "number 1: until: unknown key"),
        ("[[failing]]", "failing: start every entry with [[known_failing]]"),
        ("[known_failing]", "known_failing: start every entry with [[known_failing]]"),
    ],
)
def test_an_error_in_known_failures_is_one_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_known_failing(write(tmp_path, text), MATRIX)
    assert fault in str(raised.value)
    assert "\n" not in str(raised.value)


def test_selection_keeps_the_order_of_the_names() -> None:
    names = ["go", "go-connect", "java"]
    assert select("--client", [], names) == names
    assert select("--client", ["java, go"], names) == ["go", "java"]
    assert select("--client", ["java", "go*"], names) == names
