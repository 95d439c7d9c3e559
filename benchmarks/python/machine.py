"""Where a measurement was made: what its reader must know to compare it with another."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("numpy", "tensorflow", "tensorflow-cpu", "safetensors")


def describe(directory):
    """Processor, memory, kernel, and the disk and file system of the test files."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "disk": _disk(Path(directory).resolve()),
    }


def versions():
    """Python, this package, its rivals, and the compiler of the plain pass."""
    import tensorbundle

    found = {"python": platform.python_version(), "tensorbundle": tensorbundle.__version__}
    found.update((package, version) for package in PACKAGES if (version := _version(package)))
    found["compiler"] = _compiler()
    return found


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu():
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _compiler():
    try:
        command = [os.environ.get("CXX", "c++"), "--version"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError):
        return None


def _disk(directory):
    """The mount that holds the directory, and what the kernel says of its device."""
    mounts = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields, _, details = line.partition(" - ")
        point = fields.split()[4]
        filesystem, device, *_ = details.split()
        if directory.is_relative_to(point):
            mounts.append((len(point), filesystem, device, fields.split()[2]))
    _, filesystem, device, number = max(mounts)
    queue = Path("/sys/dev/block", number, "queue")
    disk = {"filesystem": filesystem, "device": device}
    for fact in ("rotational", "read_ahead_kb"):
        if (queue / fact).is_file():
            disk[fact] = int((queue / fact).read_text(encoding="ascii"))
    return disk
