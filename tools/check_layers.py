"""Checks that every ``#include`` in ``csrc/`` points down, or sideways within its layer.

The table below is the architecture. One library target holds all layers, so no linker would notice a wrong include.
"""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatch
from pathlib import Path

BELOW_BUNDLE = {"public", "util", "table", "wire", "slices"}
ALLOWED = {
    "public": {"public"},
    "util": {"public", "util"},
    "table": {"public", "util", "table"},
    "wire": {"public", "util", "wire"},
    "io": {"public", "util", "io"},
    "slices": {"public", "util", "slices"},
    "bundle": BELOW_BUNDLE | {"bundle"},
    "v1": BELOW_BUNDLE | {"io", "v1"},
    "checkpoint": BELOW_BUNDLE | {"io", "bundle", "v1", "checkpoint"},
    "saved_model": BELOW_BUNDLE | {"io", "bundle", "v1", "checkpoint", "saved_model"},
    "bindings": {"public", "bindings", "python"},
}
# Headers with a suffix belong to a system or a processor. Only these files see them.
SYSTEM = {
    "io/os.cc": r"(dirent|errno|fcntl|unistd|sys/\w+|linux/\w+|mach/\w+)\.h",
    "io/os_write.cc": r"(dirent|fcntl|unistd|sys/\w+)\.h",
    "io/process.cc": r"(unistd|sys/\w+)\.h",
    "util/parallel.cc": r"(pthread|sched|signal)\.h",
    "util/crc32c*": r"(cpuid|\w*intrin|arm_acle|arm_neon|sys/auxv|sys/sysctl|asm/hwcap)\.h",
}
INCLUDE = re.compile(r'\s*#\s*include\s*([<"]?)([^<>"]+)')


def target_layer(path: str, quote: str) -> str:
    """The layer that an included path belongs to: one of ours, "std", "python", "system" or "unknown"."""
    top, slash, _ = path.partition("/")
    if top == "tensorbundle":
        return "public"
    if quote != "<":
        return top if slash and top in ALLOWED else "unknown"
    if top in ("Python.h", "structmember.h", "pybind11", "numpy"):
        return "python"
    return "system" if slash or "." in path else "std"


def check_file(root: Path, file: Path) -> list[str]:
    """What is wrong with the includes of one file, a line each."""
    relative = file.relative_to(root).as_posix()
    layer = "public" if relative.startswith("include/") else relative.partition("/")[0]
    problems = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not (match := INCLUDE.match(line)):
            continue
        quote, path = match.groups()
        target = target_layer(path, quote)
        if target == "system":
            fine = any(fnmatch(relative, name) and re.fullmatch(header, path) for name, header in SYSTEM.items())
        else:
            fine = layer in ALLOWED and target in ALLOWED[layer] | {"std"}
        if not fine:
            problems.append(f'{file}:{number}: layer {layer} may not include "{path}"')
    return problems


def main(root: Path) -> int:
    """Prints every wrong include under ``root``; 0 if there is none."""
    files = sorted(file for pattern in ("*.h", "*.cc", "*.h.in") for file in root.rglob(pattern))
    problems = [problem for file in files for problem in check_file(root, file)]
    if not files:
        problems = [f"{root}: no C++ files found"]
    print("\n".join(problems) or f"{len(files)} files, every include points down")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "csrc"))
