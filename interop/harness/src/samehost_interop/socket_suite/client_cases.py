"""What a client owes to whoever has to find out why it can't call; README.md beside this file says why each matters."""

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
"""Seconds of waiting that is meant to be in vain."""

_LONG = 30.0
"""Seconds of waiting that is meant to be rewarded, on a machine that may be busy."""

_CALLS = ["empty_unary"] * 200
"""Calls of which most come after the break, as a client makes hundreds while the harness reads of the first."""

_BROKEN_CALLS = ["large_unary", "client_streaming", "server_streaming", "ping_pong", "half_duplex"] * 20
"""Calls of all four kinds, of up to 272 KB from the client."""

_BREAKS = [0, 9, 24, 40, 80, 150, 300, 1000, 3000, 10_000, 27_000, 30_000, 50_000, 75_000, 150_000, 270_000] * 5
"""After how many bytes of a client its connections break: from its preface (24) and SETTINGS to the end of a call."""


def waits_for_server(pair: Pair) -> None:
    """A client that comes before its server waits, even when a first connection was lost."""
    with listening(pair.socket) as listener, pair.start_greeting(timeout=_LONG) as client:
        listener.settimeout(pair.deadlines.ready)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            raise CaseError(client.explain("the client did not dial")) from None
        connection.close()
        listener.close()
        pair.socket.unlink()
        with pair.serving():
            greeted(finish(client, _LONG + pair.deadlines.ready, "the client to greet the server that came later"))


def deadline_while_waiting(pair: Pair) -> None:
    """Waiting in vain ends at the deadline, absent or stale."""
    for message in ("connect.no_socket", "connect.no_listener"):
        if message == "connect.no_listener":
            make_stale(pair.socket)
        started = time.monotonic()
        pair.cannot_greet(message, timeout=_SHORT)
        seconds = time.monotonic() - started
        if seconds > 10 * _SHORT:
            raise CaseError(f"a client with a deadline of {_SHORT:g} s: expected an end by then, got {seconds:.1f} s")


def names_the_path_absent(pair: Pair) -> None:
    """Without a socket or its folder, the line says which of them is missing."""
    pair.cannot_greet("connect.no_socket", timeout=_SHORT)
    pair.folder.rmdir()
    try:
        pair.cannot_greet("connect.no_folder", timeout=_SHORT)
    finally:
        pair.folder.mkdir()


def names_the_path_stale(pair: Pair) -> None:
    """A socket on which nobody listens: the line says so."""
    make_stale(pair.socket)
    pair.cannot_greet("connect.no_listener", timeout=_SHORT)


def names_the_path_forbidden(pair: Pair) -> None:
    """No permission: the line says so at once, as waiting would not help."""
    with listening(pair.socket):
        pair.socket.chmod(0)
        pair.cannot_greet("connect.permission", timeout=_LONG, before=bound_by_permissions())


def names_the_path_not_a_socket(pair: Pair) -> None:
    """A regular file: the line says so at once, and the file is kept."""
    pair.socket.write_text("dear diary")
    pair.cannot_greet("connect.not_a_socket", timeout=_LONG)
    expect("the file's content", pair.socket.read_text(), "dear diary")


def names_the_path_wrong_protocol(pair: Pair) -> None:
    """A listener that speaks HTTP/1.1, closes the connection or sends nothing: the line says which."""
    for answer, message in (
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "connect.not_http2"),
        (b"", "connect.closed"),
        (None, "connect.silent"),
    ):
        with answering(pair.socket, answer):
            pair.cannot_greet(message, timeout=_SHORT)


def reconnects(pair: Pair) -> None:
    """A connection that breaks costs a client no more than the call that is in progress."""
    behind = pair.folder / "behind.sock"
    with pair.serving(socket=behind), relaying(pair.socket, behind) as cut, pair.start_calling(_CALLS) as client:
        results = [pair.read_result(client, _CALLS[0])]
        cut.order()
        results += [pair.read_result(client, name) for name in _CALLS[1:]]
    expect("a connection was cut in a call", cut.made, True)
    failed = [detail for detail in results if detail]
    if len(failed) > 1 or not all("unavailable" in detail.lower() for detail in failed):
        raise CaseError(f"calls around a break: expected at most one to fail, with UNAVAILABLE, got {failed[:5]}")


def breaks_anywhere(pair: Pair) -> None:
    """Wherever in a call its connection breaks, it is UNAVAILABLE or made again, and no part passes for the whole."""
    behind = pair.folder / "behind.sock"
    relay = relaying(pair.socket, behind, limits=_BREAKS)
    with pair.serving(socket=behind), relay, pair.start_calling(_BROKEN_CALLS) as client:
        results = [pair.read_result(client, name) for name in _BROKEN_CALLS]
    failed = [f"{name}: {detail}" for name, detail in zip(_BROKEN_CALLS, results, strict=True) if detail]
    if strange := [line for line in failed if "unavailable" not in line.lower()]:
        raise CaseError(f"calls whose connection breaks: expected UNAVAILABLE or a pass, got {strange[:5]}")


def authority_is_localhost(pair: Pair) -> None:
    """The :authority on the wire is `localhost`, which every server takes."""
    with reading_authorities(pair.socket) as authorities:
        finished = pair.greet(timeout=_LONG)
    expect(f"exit code of a client that is answered UNIMPLEMENTED ({finished.stderr!r})", finished.code, 1)
    one_line(finished, str(pair.socket))
    expect("the :authority of the client's calls", authorities, {"localhost"})


def greets_over_a_second_name(pair: Pair) -> None:
    """A server is reached over a link to its socket, as where a folder is mounted under another name."""
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
