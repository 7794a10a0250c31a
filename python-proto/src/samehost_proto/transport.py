"""The channel arguments that both ends of a connection must have for it to end without losing a call."""

QUIET_TRANSPORT = (("grpc.http2.bdp_probe", 0),)
"""No bandwidth probes: they set a window for long round trips, which one machine does not have.

When a server has moved its clients away it closes a connection as soon as its last call is answered. C-core
pings its peer to estimate the bandwidth; if one such ping, or the answer to one, is written just then, the
write fails (EPIPE) and with it the call, whose answer is there and was not read yet. With 16 channels, each
always in a call, and connections of 0.1 s, 51 of 74,083 calls failed; without the probes, 0 of 81,775. At
1 MiB they gain nothing that can be measured: 3,065 against 3,165 echoes in 12 s, where rounds differ by 10 %.

Without them a stream keeps its window of 65,535 bytes (RFC 9113, section 6.9.2), so that both ends of a call of
64 KiB wait for each other 6 times, and 2 times with one of 1 MiB (grpc.http2.lookahead_bytes), which made such calls
1.2 times as fast. It is not set: calls of 1 MiB to Kestrel then stood still, once in some 700 bursts.
"""
