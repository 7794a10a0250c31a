"""Ways to call another program. Each module has a server and a client.

A module has `serve(address, ready)` and `connect(address)`, a context manager with a client of bench.calls. Or it has
`serve_async` and `connect_async`, which run in an event loop. An address is a path or `host:port`.
"""
