"""Forwards bytes between TCP and a Unix socket, for clients that only support TCP.

    python -m samehost_interop.official.bridge --socket /run/app/app.sock [--port 8080]

It listens only on the loopback, prints one line of JSON when it is ready, and does not interpret the bytes.
"""

import asyncio
import json
import signal
from contextlib import suppress
from pathlib import Path

import click

_CHUNK_BYTES = 1 << 16
"""How much an asyncio stream buffers before it stops reading."""


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Forward bytes in one direction, no faster than the sink accepts them, and forward the end of the stream."""
    while data := await source.read(_CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
    sink.write_eof()


async def carry(path: Path, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
    """Forward one connection in both directions. If one direction breaks, abort both."""
    try:
        server_reader, server_writer = await asyncio.open_unix_connection(path)
    except OSError:  # without a server, the client sees a closed connection
        client_writer.transport.abort()
        return
    try:
        async with asyncio.TaskGroup() as ways:
            ways.create_task(pump(client_reader, server_writer))
            ways.create_task(pump(server_reader, client_writer))
    except* OSError:
        client_writer.transport.abort()
        server_writer.transport.abort()
    finally:
        for writer in (client_writer, server_writer):
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def bridge(path: Path, port: int) -> None:
    """Listen until SIGTERM or SIGINT."""
    server = await asyncio.start_server(lambda reader, writer: carry(path, reader, writer), "127.0.0.1", port)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    host, port = server.sockets[0].getsockname()
    print(json.dumps({"event": "ready", "address": f"{host}:{port}"}), flush=True)
    await stopped.wait()
    server.close()


@click.command()
@click.option("--socket", "path", type=click.Path(path_type=Path), required=True, help="Absolute path of the socket.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, help="Port on the loopback; 0 chooses a free port. [8080]"
)
def main(path: Path, port: int) -> None:
    """Forward bytes between a TCP port of the loopback and a Unix socket."""
    asyncio.run(bridge(path, port))


if __name__ == "__main__":
    main()
