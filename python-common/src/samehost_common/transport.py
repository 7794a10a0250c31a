"""The channel arguments that let a connection end without losing a call."""

from collections.abc import Mapping
from typing import Any

_CLIENT_WINDOW_BYTES = 8 * 1024 * 1024
"""The window of a client: how much may arrive before it has to send a window update.

It is twice the longest message that gRPC accepts by default, because C-core sends an update when half of the window is
used. (With its own probes, C-core uses 4 MiB or the size that they find.)

With the 65,535 bytes of HTTP/2 (RFC 9113, section 6.9.2), 16 callers that received responses of 4 KiB over connections
with an age of 0.1 s lost 56 of 497,000 calls; with 1, 8 and 16 MiB they lost 0 of 495,000. A stream that nobody reads
can hold as much in memory.
"""

_SERVER_WINDOW_BYTES = 128 * 1024
"""The window of a server. A request of 64 KiB fits; with the 65,535 bytes of HTTP/2 it takes 1.1 times as long.

The window is small so that requests do not queue in front of the headers of other calls. C-core's client answers the
ping of a server that renews its connection before it sends its queue, and the server refuses the calls that arrive
after the answer. gRPC retries a refused call once (gRFC A6). With 8 MiB, bursts of 1,000 calls of 265 KiB queued for
seconds, calls were refused twice, and 37 of 48 bursts of a C++ client failed on a busy machine; with 128 KiB, 0 of 48
failed.
"""

_NO_PROBES = {"grpc.http2.bdp_probe": 0}
"""Turns bandwidth probes off. They find a window for long round trips, which one machine does not have. They are pings
that the other end answers: with 16 channels, each always in a call, and connections with an age of 0.1 s, 51 of 74,083
calls failed (see CLIENT_OPTIONS); without probes, 0 of 81,775."""

SERVER_OPTIONS: Mapping[str, Any] = {
    **_NO_PROBES,
    "grpc.http2.lookahead_bytes": _SERVER_WINDOW_BYTES,
    # Against remote attackers, C-core delays the refusal of a message that is too long by 0.1 to 1 s. By then the
    # connection has often reached its age: of 200 such messages, 42 were UNAVAILABLE; without the delay, 0 of 240.
    "grpc.http.tarpit": 0,
}

CLIENT_OPTIONS: Mapping[str, Any] = {**_NO_PROBES, "grpc.http2.lookahead_bytes": _CLIENT_WINDOW_BYTES}
"""With these, a client writes nothing while a connection ends: no bandwidth probes and no window updates.

A server that has moved its clients away closes a connection as soon as it has answered the last call. If the client
then writes, the write fails (EPIPE), and C-core drops what it has not read yet, so that calls fail although their
responses have arrived. (A server on grpc-go waits for its clients instead: grpc/grpc-go 6977.)

Window updates also cost speed, and Kestrel can lose a response that follows one of several windows (dotnet/aspnetcore
53736).
"""
