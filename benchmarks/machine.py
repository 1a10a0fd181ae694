"""What every benchmark prints first and last: the machine it ran on, and one JSON line of its figures."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

Figure = str | int | float | bool | None


def describe(packages: Sequence[str] = ("numpy", "numba", "pyRadPlan")) -> dict[str, Figure]:
    """Return CPU model, usable cores, Python, and the version of each package (None where it is not installed)."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        **{package: _version(package) for package in packages},
    }


def peak_memory_gb() -> float:
    """Return the largest memory this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory at the fork as well
        peak_kb = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak_kb) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)  # bytes there, kB here


def print_machine(packages: Sequence[str] = ("numpy", "numba", "pyRadPlan")) -> None:
    """Print the machine on one line."""
    print("machine: " + ", ".join(f"{name} {value}" for name, value in describe(packages).items()), flush=True)


def print_figures(benchmark: str, figures: Mapping[str, Figure]) -> None:
    """Print the last line of a benchmark: its figures and the machine as one JSON object."""
    print(json.dumps({"benchmark": benchmark, **figures, "machine": describe()}), flush=True)


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
