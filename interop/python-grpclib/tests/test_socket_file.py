"""The life of a socket's file; the harness's socket suite asks the same of the whole program."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from samehost_interop_grpclib.listen import SocketFile
from samehost_proto import MAX_PATH_BYTES, NotASocketError, SamehostError, SocketAddress


@pytest_asyncio.fixture
async def file(address: SocketAddress) -> AsyncIterator[SocketFile]:
    file = SocketFile(address, mode=0o640, group=None)
    yield file
    file.withdraw()


def ignore() -> None:
    pass


def names(address: SocketAddress) -> set[str]:
    return {entry.name for entry in address.path.parent.iterdir()}


async def test_is_found_when_it_is_published_and_not_before(file: SocketFile, address: SocketAddress) -> None:
    with await file.bind() as listener:
        assert not address.path.exists()
        listener.listen()
        file.publish(ignore)
        assert stat.S_IMODE(address.path.stat().st_mode) == 0o640
        assert names(address) == {"app.sock", "app.sock.lock", "app.sock.takeover"}
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(address.path))
    file.withdraw()
    assert names(address) == {"app.sock.lock"}


async def test_replaces_a_stale_one_and_what_was_left_beside_it(file: SocketFile, address: SocketAddress) -> None:
    killed = SocketFile(address, mode=0o600, group=None)
    (await killed.bind()).close()
    killed._control.close()  # type: ignore[union-attr] # noqa: SLF001
    os.close(killed._lock._descriptor)  # type: ignore[union-attr] # noqa: SLF001 (what the system does for a killed process)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(address.path))
    (await file.bind()).close()
    file.publish(ignore)
    assert stat.S_IMODE(address.path.stat().st_mode) == 0o640
    assert names(address) == {"app.sock", "app.sock.lock", "app.sock.takeover"}


async def test_one_server_at_a_time(file: SocketFile, address: SocketAddress) -> None:
    (await file.bind()).close()
    second = SocketFile(address, mode=0o600, group=None)
    with pytest.raises(SamehostError, match=rf"has a server already: grpclib .*, process {os.getpid()} on host"):
        await second.bind()
    file.withdraw()
    (await second.bind()).close()
    second.withdraw()


async def test_leaves_alone_what_is_not_its_own(file: SocketFile, address: SocketAddress) -> None:
    (await file.bind()).close()
    file.publish(ignore)
    address.path.unlink()
    address.path.write_text("dear diary")
    file.withdraw()
    assert address.path.read_text() == "dear diary"
    with pytest.raises(NotASocketError):
        await file.bind()


async def test_hands_over_to_its_successor(file: SocketFile, address: SocketAddress) -> None:
    handed_over = asyncio.Event()
    (await file.bind()).close()
    file.publish(handed_over.set)
    assert not file.is_lost()
    successor = SocketFile(address, mode=0o600, group=None)
    with await successor.bind(takeover=True):
        assert not file.is_lost()
        successor.publish(ignore)
        async with asyncio.timeout(10):
            await handed_over.wait()
        assert not file.is_lost()
        file.withdraw()
        assert stat.S_IMODE(address.path.stat().st_mode) == 0o600
        address.path.unlink()
        assert successor.is_lost()
    successor.withdraw()
    assert names(address) == {"app.sock.lock"}


async def test_takes_its_lock_again_when_a_successor_gives_up(file: SocketFile, address: SocketAddress) -> None:
    (await file.bind()).close()
    file.publish(ignore)
    reader, writer = await asyncio.open_unix_connection(f"{address.path}.takeover")
    assert json.loads(await reader.readline()) == {"event": "released"}
    assert file._lock is None  # noqa: SLF001
    writer.close()
    async with asyncio.timeout(10):
        while file._lock is None:  # noqa: ASYNC110, SLF001
            await asyncio.sleep(0.01)


async def test_keeps_a_file_that_is_where_successors_would_dial(file: SocketFile, address: SocketAddress) -> None:
    control = address.path.with_name("app.sock.takeover")
    control.write_text("dear diary")
    with pytest.raises(NotASocketError, match="needed to hand"):
        await file.bind()
    file.withdraw()
    assert control.read_text() == "dear diary"


def test_longest_path_has_a_private_name_too() -> None:
    folder = Path("/tmp") / ("d" * (MAX_PATH_BYTES - len("/tmp//app.sock")))
    address = SocketAddress(folder / "app.sock")
    assert len(str(address.path)) == MAX_PATH_BYTES
    private = SocketFile(address, mode=0o600, group=None)._private  # noqa: SLF001 (it is gone when it can be seen)
    assert len(str(private)) <= MAX_PATH_BYTES
