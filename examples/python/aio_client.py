"""A gRPC client on a Unix domain socket, with asyncio: `python aio_client.py PATH NAME`."""

import asyncio
import sys

import grpc

from samehost.greeter.v1.greeter_pb2 import GreetRequest
from samehost.greeter.v1.greeter_pb2_grpc import GreeterServiceStub


async def main() -> None:
    """Greet one person, and print the answer."""
    path, name = sys.argv[1:]
    # Without this option, gRPC sends the path as :authority, which servers in C# and Rust reject.
    options = [("grpc.default_authority", "localhost")]
    async with grpc.aio.insecure_channel(f"unix:{path}", options) as channel:
        response = await GreeterServiceStub(channel).Greet(GreetRequest(name=name), timeout=5)
    print(response.message)


if __name__ == "__main__":
    asyncio.run(main())
