"""Runs one server and one client in one process, the smallest complete use of both libraries."""

import tempfile
from pathlib import Path

from samehost_client import connect
from samehost_demo.client import greet
from samehost_demo.commands import print_exchange
from samehost_demo.services import GreeterService
from samehost_server import Server

with tempfile.TemporaryDirectory() as folder:
    address = f"unix:{Path(folder) / 'app.sock'}"
    print(f"serving on {address}")
    with Server(address, [GreeterService()]), connect(address, wait=5) as channel:
        for exchange in greet(channel, "Ada", timeout=5):
            print_exchange(exchange)
