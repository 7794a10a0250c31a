"""Health checks over a connection of their own."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from samehost_client._channel import connect
from samehost_client.diagnosis import explain
from samehost_common import SocketAddress

SERVING = "SERVING"


def check(address: SocketAddress, service: str = "", timeout: float = 5.0) -> str:
    """Checks the health of a server over a new connection.

    On an old connection, a server whose path was removed would still answer SERVING.

    Args:
        address: the address of the server.
        service: the full name of a service; the empty name stands for the whole server.
        timeout: seconds to wait for the answer.

    Returns:
        SERVING, NOT_SERVING or UNKNOWN.

    Raises:
        SamehostError: no server can be reached, or it does not know the service.
    """
    # Without its own pool, this channel would share the connection of another channel to the same address.
    with connect(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            return check_over(channel, service, timeout)
        except grpc.RpcError as error:
            raise explain(error, address) from error


def check_over(channel: grpc.Channel, service: str, timeout: float, *, wait_for_ready: bool = False) -> str:
    """Checks the health over a channel.

    Raises:
        grpc.RpcError: the call failed.
    """
    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    # The stubs of grpc_health do not declare the methods.
    response = stub.Check(request, timeout=timeout, wait_for_ready=wait_for_ready)  # type: ignore[attr-defined]
    return health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)
