"""Runs the libraries on a Linux that looks like macOS. They were never run on a real macOS."""

import subprocess
import sys
from pathlib import Path

from running import WITHIN

DEMO = Path(__file__).parent.parent / "examples" / "demo.py"

LIKE_MACOS = """
import fcntl, os, runpy, select, signal, socket, sys
for module, names in {
    fcntl: ["F_OFD_SETLK"],
    os: ["O_DIRECT", "O_PATH", "O_TMPFILE", "pidfd_open", "pipe2", "sched_getaffinity"],
    select: ["epoll"],
    signal: ["sigtimedwait", "sigwaitinfo"],
    socket: ["SO_DOMAIN", "SO_PEERCRED", "SO_PROTOCOL", "SOCK_CLOEXEC", "SOCK_NONBLOCK"],
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.platform = "darwin"
"""


def run_like_macos(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LIKE_MACOS + code, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=WITHIN,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_demo_runs() -> None:
    assert "  < Hello, Ada!\n" in run_like_macos("runpy.run_path(sys.argv[1])", DEMO)


def test_an_asyncio_server_and_client_run() -> None:
    printed = run_like_macos("""
import asyncio
from samehost_client import aio
from samehost_demo.client import greet_async
from samehost_demo.services import AsyncGreeterService
from samehost_server.testing import serving_async
async def main():
    async with serving_async([AsyncGreeterService()]) as address, aio.connect(address, wait=5) as channel:
        print([exchange.method async for exchange in greet_async(channel, "Ada", timeout=5)])
asyncio.run(main())
""")
    assert printed == "['Greet', 'GreetInLanguages', 'GreetTogether', 'Converse']\n"


def test_paths_are_shorter() -> None:
    printed = run_like_macos("""
from samehost_common import AddressError, SocketAddress
SocketAddress.parse("/" + "x" * 102)
try:
    SocketAddress.parse("/" + "x" * 103)
except AddressError as error:
    print(error)
""")
    assert "104 bytes" in printed
