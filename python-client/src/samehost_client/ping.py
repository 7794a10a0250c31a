"""Round trips of a small call, measured one by one and summed up as the network's ping does."""

import statistics
import time

import grpc

from samehost_client.health import check_over


def round_trip(channel: grpc.Channel, timeout: float, *, wait_for_ready: bool) -> float:
    """Makes one health check and returns how long it took in milliseconds; raises grpc.RpcError."""
    started = time.perf_counter()
    check_over(channel, "", timeout, wait_for_ready=wait_for_ready)
    return (time.perf_counter() - started) * 1000


def summary(times: list[float]) -> dict[str, float]:
    """The least, mean and greatest time and the standard deviation, in their unit; empty for no times."""
    if not times:
        return {}
    return {
        "min": min(times),
        "avg": statistics.fmean(times),
        "max": max(times),
        "mdev": statistics.pstdev(times),
    }
