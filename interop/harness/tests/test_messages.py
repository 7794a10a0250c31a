"""Tests of messages.toml, and of how the socket suite compares output with it."""

import ast
import re
from pathlib import Path

import pytest

from samehost_interop import socket_suite
from samehost_interop.deadlines import Deadlines
from samehost_interop.errors import CaseError, ConfigurationError
from samehost_interop.messages import load_messages, matches
from samehost_interop.peers import load_peers
from samehost_interop.socket_suite.pair import Finished, Pair

INTEROP = Path(__file__).parents[2]
MESSAGES = load_messages(INTEROP / "messages.toml")
PATH = "/run/app/app.sock"


def table(name: str = "connect.closed", cause: str = 'cause = "Why."', message: str = 'message = "No."') -> str:
    return f"[{name}]\n{cause}\n{message}\n"


def test_messages_are_read_by_name(tmp_path: Path) -> None:
    file = tmp_path / "messages.toml"
    file.write_text(table() + table("serve.removed", message='message = "Gone."'))
    assert load_messages(file) == {"connect.closed": "No.", "serve.removed": "Gone."}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (table(cause=""), "[connect.closed]: cause: missing; add it"),
        (table(message=""), "[connect.closed]: message: missing; add it"),
        (table(message='message = " "'), "[connect.closed]: message: ' ' is not a text"),
        (table() + 'remedy = "Try again."\n', "[connect.closed]: remedy: unknown key"),
        ('[connect]\nclosed = "No."\n', "[connect.closed]: 'No.' is not a table"),
        ('closed = "No."\n', "closed: 'No.' is not a message"),
    ],
)
def test_an_error_in_messages_is_one_line_with_file_table_and_key(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "messages.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load_messages(file)
    assert str(raised.value).startswith(f"{file}: {fault}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("connect to {path}: no folder {folder}", f"server: connect to {PATH}: no folder /run/app, or use --x"),
        ("{owner} holds {lock}; stop it", f"server 1.0 (pid 7) holds {PATH}.lock; stop it"),
        ("closed the connection{reason}; check", "closed the connection; check"),
        ("closed the connection{reason}; check", "closed the connection: reset; check"),
        ("it is not a socket (or is it?)", "it is not a socket (or is it?)"),
    ],
)
def test_a_line_matches_its_message(message: str, line: str) -> None:
    assert matches(message, line, PATH)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("connect to {path}: no", f"connect to {PATH}x: no"),
        ("connect to {path}: no", "connect to /run/app/appXsock: no"),
        ("no folder {folder};", "no folder /run;"),
        ("{lock} has data", f"{PATH} has data"),
        ("permission denied: {permissions}; join", "permission denied: ; join"),
        ("it is not a socket.", "it is not a socket!"),
    ],
)
def test_another_line_does_not_match(message: str, line: str) -> None:
    assert not matches(message, line, PATH)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_names_the_socket_or_the_address_and_a_remedy(name: str) -> None:
    message = MESSAGES[name]
    assert "{address}" in message if name.startswith("address.") else "{path}" in message
    assert "; " in message


def test_the_socket_suite_uses_only_names_of_the_table() -> None:
    sections = "|".join(sorted({name.partition(".")[0] for name in MESSAGES}))
    used = {
        node.value
        for file in Path(socket_suite.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(rf"({sections})\.\w+", node.value)
    }
    assert {"connect.no_socket", "listen.locked", "serve.removed", "address.too_long"} <= used
    assert used <= set(MESSAGES)


def test_a_line_that_does_not_match_is_reported_with_the_expected_message(tmp_path: Path) -> None:
    peer = load_peers(INTEROP / "peers.toml")["python"]
    pair = Pair(peer, peer, tmp_path, Deadlines(), 1, messages=MESSAGES)
    right = f"client: cannot connect to {PATH}: it is not a socket; use the path that the server was started with\n"
    pair.expect_message(Finished(1, "", right), "connect.not_a_socket", PATH)
    with pytest.raises(CaseError) as raised:
        pair.expect_message(Finished(1, "", f"client: {PATH} is no socket\n"), "connect.not_a_socket", PATH)
    assert str(raised.value) == (
        f"message [connect.not_a_socket]: expected {MESSAGES['connect.not_a_socket']!r}, "
        f"got 'client: {PATH} is no socket'"
    )
