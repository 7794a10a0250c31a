"""Ways to call another program, one module each, with both ends.

A module has `serve(address, ready)` and `connect(address)`, which gives the client of bench.calls as a context; or
`serve_async` and `connect_async`, which run in an event loop. An address is a path, or `host:port`.
"""
