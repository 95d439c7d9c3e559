"""Checks that every import in ``python/tensorbundle`` is one that its module may have.

The table below is the architecture: what a module needs stands above it, so that nothing goes round in circles. What is
imported for annotations alone (``if TYPE_CHECKING``) is free, and so is the standard library.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "tensorbundle"
# A module, or a folder of modules -> what it may import. "public" is the package itself and the names that it offers.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "_core": {"errors"},
    "callers": set(),
    "files": set(),
    "lazy_names": set(),
    "locks": set(),
    "indexing": set(),
    "progress": {"rich"},
    "selection": {"files"},
    "verification": set(),
    "dtypes": {"errors", "ml_dtypes", "numpy"},
    "state": {"callers", "errors", "files"},
    "v1_paths": {"files"},
    "paths": {"errors", "files", "state", "v1_paths"},
    "opening": {"callers", "errors", "files"},
    "inputs": {"_core", "dtypes", "numpy"},
    "outputs": {"indexing", "numpy"},
    "lazy": {"numpy"},
    "streaming": {"progress"},
    "graph": {"_core", "errors"},
    "checkpoint": {
        "_core",
        "errors",
        "graph",
        "lazy",
        "opening",
        "outputs",
        "paths",
        "progress",
        "selection",
        "streaming",
        "verification",
    },
    "reading": {"checkpoint"},
    "arrangement": {"checkpoint", "errors"},
    "diagnosis": {"arrangement", "checkpoint", "errors"},
    "writer": {"_core", "callers", "checkpoint", "dtypes", "inputs", "numpy", "opening", "paths", "progress"},
    "objects": {"_core", "numpy", "writer"},
    "renaming": {"selection"},
    "rounding": {"numpy"},
    "edits": {"_core", "callers", "paths", "renaming", "selection"},
    "formats": {
        "checkpoint",
        "dtypes",
        "errors",
        "files",
        "lazy_names",
        "numpy",
        "paths",
        "selection",
        "streaming",
    },
    "conversion": {
        "_core",
        "callers",
        "checkpoint",
        "dtypes",
        "errors",
        "files",
        "formats",
        "locks",
        "numpy",
        "opening",
        "paths",
        "progress",
        "renaming",
        "rounding",
        "selection",
        "writer",
    },
    "inspection": {
        "_core",
        "checkpoint",
        "errors",
        "files",
        "formats",
        "numpy",
        "opening",
        "progress",
        "rounding",
        "selection",
        "verification",
        "writer",
    },
    "manager": {"callers", "checkpoint", "files", "reading", "state", "writer"},
    "protos": {"_core", "errors"},
    "train": {"errors", "ml_dtypes", "numpy", "public"},
    "saved_model": {
        "_core",
        "checkpoint",
        "dtypes",
        "errors",
        "files",
        "graph",
        "inputs",
        "lazy_names",
        "locks",
        "numpy",
        "objects",
        "paths",
        "protos",
        "selection",
        "train",
        "writer",
    },
    "cli": {"click", "distributed", "errors", "numpy", "protos", "public", "rich", "saved_model", "train"},
    "__init__": {"lazy_names"},  # Names are looked up when they are asked for.
}
# What the demo measures and how it checks the answers is below the public names, and so is what an edit would do.
EXCEPTIONS = {
    "cli/demo.py": {"_core"},
    "cli/demo_modes.py": {"outputs"},
    "cli/edit.py": {"edits"},
}


def imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that are run, wherever they stand."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for branch in node.orelse:
                yield from imports(ast.Module([branch], []))
        else:
            yield from imports(node)


def targets(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """What an import is of: modules of ours, "public", or the top-level names of others."""
    if isinstance(node, ast.Import):
        paths = [alias.name for alias in node.names]
    elif node.level:
        paths = ["." * node.level + (node.module or "")]
    else:
        paths = (
            [f"{node.module}.{alias.name}" for alias in node.names] if node.module == PACKAGE else [node.module or ""]
        )
    for path in paths:
        top, _, rest = path.partition(".")
        module = rest.partition(".")[0]
        if top == PACKAGE:
            yield module if module in ALLOWED else "public"
        else:
            yield top or path


def check_file(root: Path, file: Path) -> list[str]:
    """What is wrong with the imports of one file, a line each."""
    relative = file.relative_to(root).as_posix()
    module = relative.partition("/")[0].removesuffix(".py")
    if module not in ALLOWED:
        return [f"{file}:1: module {module} is not in the table of {Path(__file__).name}"]
    allowed = ALLOWED[module] | EXCEPTIONS.get(relative, set()) | {module} | sys.stdlib_module_names
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [
        f"{file}:{node.lineno}: {module} may not import {target}"
        for node in imports(tree)
        for target in targets(node)
        if target not in allowed
    ]


def main(root: Path) -> int:
    """Prints every wrong import under ``root``; 0 if there is none."""
    files = sorted(root.rglob("*.py"))
    problems = [problem for file in files for problem in check_file(root, file)]
    if not files:
        problems = [f"{root}: no Python files found"]
    print("\n".join(problems) or f"{len(files)} files, every import is allowed")
    return 1 if problems else 0


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1] / "python" / PACKAGE
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else here))
