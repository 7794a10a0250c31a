"""Servers for your own tests. Each has its own path and stops at once.

```python
import pytest
from samehost_client import connect
from samehost_server.testing import serving

@pytest.fixture
def channel():
    with serving([GreeterService()]) as address, connect(address, wait=5) as channel:
        yield channel
```

With asyncio and pytest-asyncio:

```python
import pytest_asyncio
from samehost_client import aio
from samehost_server.testing import serving_async

@pytest_asyncio.fixture
async def channel():
    async with serving_async([AsyncGreeterService()]) as address, aio.connect(address, wait=5) as channel:
        yield channel
```
"""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

from samehost_common import MAX_PATH_BYTES, SocketAddress
from samehost_server import Server, aio

_ROOM = len("/samehost-12345678/test.sock.takeover")


@contextlib.contextmanager
def serving(services: Iterable[object], **options: Any) -> Iterator[SocketAddress]:
    """Starts a server in a new folder that only this user can enter, and yields its address.

    At the end, cuts off the calls in progress without waiting for a grace or for connected clients, and removes the
    folder.

    Args:
        services: the services of samehost_server.Server.
        options: its other options.

    Raises:
        OptionError: an option is out of range or has the wrong type.
        ServiceError: an object is not a servicer, or has asyncio methods.
    """
    with _private_address() as address, Server(address, services, **options) as server:
        try:
            yield address
        finally:
            server.stop(at_once=True)


@contextlib.asynccontextmanager
async def serving_async(services: Iterable[object], **options: Any) -> AsyncIterator[SocketAddress]:
    """Does what `serving` does, with samehost_server.aio.Server."""
    with _private_address() as address:
        async with aio.Server(address, services, **options) as server:
            try:
                yield address
            finally:
                await server.stop(at_once=True)


@contextlib.contextmanager
def _private_address() -> Iterator[SocketAddress]:
    is_short = len(os.fsencode(tempfile.gettempdir())) + _ROOM <= MAX_PATH_BYTES
    with tempfile.TemporaryDirectory(prefix="samehost-", dir=None if is_short else "/tmp") as folder:  # noqa: S108
        yield SocketAddress(Path(folder, "test.sock"))
