"""The channel arguments with which a connection ends without losing a call."""

from collections.abc import Mapping
from typing import Any

_CLIENT_WINDOW_BYTES = 8 * 1024 * 1024
"""How much may arrive before its reader has to say that there is room: twice a message of the longest size that gRPC
takes by default, as C-core speaks up when half of it is used. (Its own probes make it 4 MiB, or what they find.)

With HTTP/2's 65,535 bytes (RFC 9113, section 6.9.2), 16 callers that took answers of 4 KiB over connections of 0.1 s
lost 56 of 497,000 calls; with 1, 8 and 16 MiB, 0 of 495,000. A stream that is not read may hold as much in memory.
"""

_SERVER_WINDOW_BYTES = 128 * 1024
"""A request of 64 KiB passes in one go, which HTTP/2's 65,535 bytes make 1.1 times as slow, and little more does.

Requests must not queue up in front of the headers of other calls: C-core's client answers the ping of a server that
renews its connection before it sends what it has queued, and the server refuses what comes after. With 8 MiB, bursts
of 1,000 calls of 265 KiB queued for seconds, calls were refused twice, which is once more than gRPC makes them again
(gRFC A6), and 37 of 48 bursts of a C++ client failed on a busy machine; with 128 KiB, 0 of 48.
"""

_NO_PROBES = {"grpc.http2.bdp_probe": 0}
"""Bandwidth probes set a window for long round trips, which one machine does not have. They are pings, which the other
end answers: with 16 channels, each always in a call, and connections of 0.1 s, 51 of 74,083 calls failed (see
CLIENT_OPTIONS); without them, 0 of 81,775."""

SERVER_OPTIONS: Mapping[str, Any] = {
    **_NO_PROBES,
    "grpc.http2.lookahead_bytes": _SERVER_WINDOW_BYTES,
    # C-core lets whoever sends too much wait for 0.1 to 1 s for its refusal, against attackers from afar. By then a
    # connection is often closed for its age: of 200 messages beyond the limit, 42 were UNAVAILABLE; without, 0 of 240.
    "grpc.http.tarpit": 0,
}

CLIENT_OPTIONS: Mapping[str, Any] = {**_NO_PROBES, "grpc.http2.lookahead_bytes": _CLIENT_WINDOW_BYTES}
"""A client has nothing to write while a connection ends: no bandwidth probes, no news of its window.

When a server has moved its clients away it closes a connection as soon as its last call is answered. What a client
writes then fails (EPIPE), and C-core drops what it has not read yet, so that calls fail whose answers are there. (A
server on grpc-go waits for its clients instead: grpc/grpc-go 6977.)

News of the window costs speed, too, and Kestrel may lose a response after one that took several windows
(dotnet/aspnetcore 53736).
"""
