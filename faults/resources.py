"""Counts the resources of a process, before and after a run, to find leaks."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Resources:
    """Open descriptors, threads, and resident memory in MiB."""

    descriptors: int
    threads: int
    memory_mib: float

    def as_json(self) -> dict[str, float]:
        """Return the resources for the report."""
        return asdict(self)


def resources(pid: int | None = None) -> Resources:
    """Count the resources of a process, by default of this one."""
    process = Path("/proc") / str(pid or os.getpid())
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
    return Resources(
        descriptors=len(list((process / "fd").iterdir())),
        threads=int(status["Threads"]),
        memory_mib=round(int(status["VmRSS"].split()[0]) / 1024, 1),
    )
