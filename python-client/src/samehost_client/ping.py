"""Measures round trips of a small call, and summarizes them as ping(8) does."""

import statistics
import time

import grpc

from samehost_client.health import check_over


def round_trip(channel: grpc.Channel, timeout: float, *, wait_for_ready: bool) -> float:
    """Makes one health check and returns its duration in milliseconds.

    Raises:
        grpc.RpcError: the call failed.
    """
    started = time.perf_counter()
    check_over(channel, "", timeout, wait_for_ready=wait_for_ready)
    return (time.perf_counter() - started) * 1000


def summary(times: list[float]) -> dict[str, float]:
    """Returns the minimum, mean, maximum and standard deviation of the times; empty without times."""
    if not times:
        return {}
    return {
        "min": min(times),
        "avg": statistics.fmean(times),
        "max": max(times),
        "mdev": statistics.pstdev(times),
    }
