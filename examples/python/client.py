"""A gRPC client on a Unix domain socket: `python client.py PATH NAME`."""

import sys

import grpc

from samehost.greeter.v1.greeter_pb2 import GreetRequest
from samehost.greeter.v1.greeter_pb2_grpc import GreeterServiceStub


def main() -> None:
    """Greet one person, and print the answer."""
    path, name = sys.argv[1:]
    # Without this option, gRPC sends the path as :authority, which servers in C# and Rust reject.
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(f"unix:{path}", options) as channel:
        response = GreeterServiceStub(channel).Greet(GreetRequest(name=name), timeout=5)
    print(response.message)


if __name__ == "__main__":
    main()
