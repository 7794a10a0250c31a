"""A gRPC server on a Unix domain socket, with asyncio: `python aio_server.py [PATH]`."""

import asyncio
import sys

import grpc

from samehost.greeter.v1.greeter_pb2 import GreetRequest, GreetResponse
from samehost.greeter.v1.greeter_pb2_grpc import GreeterServiceServicer, add_GreeterServiceServicer_to_server


class Greeter(GreeterServiceServicer):
    """A service that greets people by name."""

    async def Greet(
        self, request: GreetRequest, context: grpc.aio.ServicerContext[GreetRequest, GreetResponse]
    ) -> GreetResponse:
        """Greet one person."""
        return GreetResponse(message=f"Hello, {request.name}!")


async def main() -> None:
    """Serve until the process is killed."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/tmp/greeter.sock"
    server = grpc.aio.server()
    add_GreeterServiceServicer_to_server(Greeter(), server)
    server.add_insecure_port(f"unix:{path}")  # gRPC removes an existing socket file
    await server.start()
    print(f"listening on {path}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
