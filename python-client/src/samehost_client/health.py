"""What a server says of its health, asked over a connection of its own."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from samehost_client._channel import connect
from samehost_client.diagnosis import explain
from samehost_common import SocketAddress

SERVING = "SERVING"


def check(address: SocketAddress, service: str = "", timeout: float = 5.0) -> str:
    """Dials afresh and asks; a held connection would say SERVING of a server whose path is gone.

    Args:
        address: where the server listens.
        service: full name of a service; empty asks for the server as a whole.
        timeout: seconds that it may take.

    Returns:
        SERVING, NOT_SERVING or UNKNOWN.

    Raises:
        SamehostError: no server could be reached, or it does not know the service.
    """
    # Without a pool of its own, a channel would share the connection of another one to the same address.
    with connect(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            return check_over(channel, service, timeout)
        except grpc.RpcError as error:
            raise explain(error, address) from error


def check_over(channel: grpc.Channel, service: str, timeout: float, *, wait_for_ready: bool = False) -> str:
    """Asks over a channel; raises grpc.RpcError."""
    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    # grpc_health's stubs lack the methods.
    response = stub.Check(request, timeout=timeout, wait_for_ready=wait_for_ready)  # type: ignore[attr-defined]
    return health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)
