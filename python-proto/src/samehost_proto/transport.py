"""The channel arguments that both ends of a connection must have for it to end without losing a call."""

QUIET_TRANSPORT = (("grpc.http2.bdp_probe", 0),)
"""No bandwidth probes: they set a window for long round trips, which one machine does not have.

When a server has moved its clients away it closes a connection as soon as its last call is answered. C-core
pings its peer to estimate the bandwidth; if one such ping, or the answer to one, is written just then, the
write fails (EPIPE) and with it the call, whose answer is there and was not read yet. With 16 channels, each
always in a call, and connections of 0.1 s, 51 of 74,083 calls failed; without the probes, 0 of 81,775. It
costs nothing that can be measured: 3,065 against 3,165 echoes of 1 MiB in 12 s, where rounds differ by 10 %.
"""
