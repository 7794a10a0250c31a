"""Cases for clients: their errors, and how they connect. README.md in this folder explains why each case matters."""

import time

from samehost_interop.errors import CaseError
from samehost_interop.socket_suite.neighbours import answering, reading_authorities, relaying
from samehost_interop.socket_suite.pair import (
    Pair,
    bound_by_permissions,
    expect,
    finish,
    greeted,
    listening,
    make_stale,
    one_line,
)

_SHORT = 1.0
"""The timeout in seconds of a wait that must fail."""

_LONG = 30.0
"""The timeout in seconds of a wait that must succeed, also on a busy machine."""

_CALLS = ["empty_unary"] * 200
"""Enough calls that most of them follow the break. A client makes hundreds while the harness reads the first result."""

_BROKEN_CALLS = ["large_unary", "client_streaming", "server_streaming", "ping_pong", "half_duplex"] * 20
"""Calls of all four kinds, of up to 272 KB from the client."""

_BREAKS = [0, 9, 24, 40, 80, 150, 300, 1000, 3000, 10_000, 27_000, 30_000, 50_000, 75_000, 150_000, 270_000] * 5
"""The number of bytes from the client after which a connection breaks: from the preface (24) and SETTINGS to the end of
a call."""


def waits_for_server(pair: Pair) -> None:
    """A client that starts before its server waits for it, even after it has lost a first connection."""
    with listening(pair.socket) as listener, pair.start_greeting(timeout=_LONG) as client:
        listener.settimeout(pair.deadlines.ready)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            raise CaseError(client.explain("the client did not connect")) from None
        connection.close()
        listener.close()
        pair.socket.unlink()
        with pair.serving():
            greeted(finish(client, _LONG + pair.deadlines.ready, "the client to greet the server that started later"))


def deadline_while_waiting(pair: Pair) -> None:
    """A client stops waiting at its deadline, without a socket and with a stale one."""
    for message in ("connect.no_socket", "connect.no_listener"):
        if message == "connect.no_listener":
            make_stale(pair.socket)
        started = time.monotonic()
        pair.cannot_greet(message, timeout=_SHORT)
        seconds = time.monotonic() - started
        if seconds > 10 * _SHORT:
            raise CaseError(f"end of a client with a deadline of {_SHORT:g} s: expected by then, got {seconds:.1f} s")


def names_the_path_absent(pair: Pair) -> None:
    """If the socket or its folder is missing, the error names which of them."""
    pair.cannot_greet("connect.no_socket", timeout=_SHORT)
    pair.folder.rmdir()
    try:
        pair.cannot_greet("connect.no_folder", timeout=_SHORT)
    finally:
        pair.folder.mkdir()


def names_the_path_stale(pair: Pair) -> None:
    """If no server listens on the socket, the error reports it."""
    make_stale(pair.socket)
    pair.cannot_greet("connect.no_listener", timeout=_SHORT)


def names_the_path_forbidden(pair: Pair) -> None:
    """If the client has no permission, it reports this at once, because waiting cannot help."""
    with listening(pair.socket):
        pair.socket.chmod(0)
        pair.cannot_greet("connect.permission", timeout=_LONG, before=bound_by_permissions())


def names_the_path_not_a_socket(pair: Pair) -> None:
    """If the path is a regular file, the client reports this at once and keeps the file."""
    pair.socket.write_text("dear diary")
    pair.cannot_greet("connect.not_a_socket", timeout=_LONG)
    expect("content of the file", pair.socket.read_text(), "dear diary")


def names_the_path_wrong_protocol(pair: Pair) -> None:
    """If a listener speaks HTTP/1.1, closes the connection or sends nothing, the error names which of them."""
    for answer, message in (
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "connect.not_http2"),
        (b"", "connect.closed"),
        (None, "connect.silent"),
    ):
        with answering(pair.socket, answer):
            pair.cannot_greet(message, timeout=_SHORT)


def reconnects(pair: Pair) -> None:
    """If a connection breaks, only the call in progress fails."""
    behind = pair.folder / "behind.sock"
    with pair.serving(socket=behind), relaying(pair.socket, behind) as cut, pair.start_calling(_CALLS) as client:
        results = [pair.read_result(client, _CALLS[0])]
        cut.order()
        results += [pair.read_result(client, name) for name in _CALLS[1:]]
    expect("a connection was closed during a call", cut.made, True)
    failed = [detail for detail in results if detail]
    if len(failed) > 1 or not all("unavailable" in detail.lower() for detail in failed):
        raise CaseError(f"failed calls: expected at most one, with UNAVAILABLE, got {failed[:5]}")


def breaks_anywhere(pair: Pair) -> None:
    """If a connection breaks anywhere in a call, the call fails with UNAVAILABLE or a retry answers it completely."""
    behind = pair.folder / "behind.sock"
    relay = relaying(pair.socket, behind, limits=_BREAKS)
    with pair.serving(socket=behind), relay, pair.start_calling(_BROKEN_CALLS) as client:
        results = [pair.read_result(client, name) for name in _BROKEN_CALLS]
    failed = [f"{name}: {detail}" for name, detail in zip(_BROKEN_CALLS, results, strict=True) if detail]
    if strange := [line for line in failed if "unavailable" not in line.lower()]:
        raise CaseError(f"calls on connections that break: expected UNAVAILABLE or a pass, got {strange[:5]}")


def authority_is_localhost(pair: Pair) -> None:
    """The client sends the :authority `localhost`, which every server accepts."""
    with reading_authorities(pair.socket) as authorities:
        finished = pair.greet(timeout=_LONG)
    expect(f"exit code of a client after UNIMPLEMENTED ({finished.stderr!r})", finished.code, 1)
    one_line(finished, str(pair.socket))
    expect(":authority of the client's calls", authorities, {"localhost"})


def greets_over_a_second_name(pair: Pair) -> None:
    """A client reaches a server through a link to its socket, as it does if a folder is mounted under another name."""
    with pair.serving(socket=pair.folder / "first.sock"):
        pair.socket.symlink_to(pair.folder / "first.sock")
        pair.greets()


CASES = {
    case.__name__: case
    for case in (
        waits_for_server,
        deadline_while_waiting,
        names_the_path_absent,
        names_the_path_stale,
        names_the_path_forbidden,
        names_the_path_not_a_socket,
        names_the_path_wrong_protocol,
        reconnects,
        breaks_anywhere,
        authority_is_localhost,
        greets_over_a_second_name,
    )
}
"""The cases by name, in the order of the report."""
