"""A gRPC server on a Unix domain socket: `python server.py [PATH]`."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from samehost.greeter.v1.greeter_pb2 import GreetRequest, GreetResponse
from samehost.greeter.v1.greeter_pb2_grpc import GreeterServiceServicer, add_GreeterServiceServicer_to_server


class Greeter(GreeterServiceServicer):
    """A service that greets people by name."""

    def Greet(self, request: GreetRequest, context: grpc.ServicerContext) -> GreetResponse:
        """Greet one person."""
        return GreetResponse(message=f"Hello, {request.name}!")


def main() -> None:
    """Serve until the process is killed."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/tmp/greeter.sock"
    server = grpc.server(ThreadPoolExecutor())
    add_GreeterServiceServicer_to_server(Greeter(), server)
    server.add_insecure_port(f"unix:{path}")  # gRPC removes an existing socket file
    server.start()
    print(f"listening on {path}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
