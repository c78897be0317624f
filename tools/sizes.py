"""Refuse functions and modules that are too large, and two classes of one name."""

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

MEDIAN_LINES = 10
FUNCTION_LINES = 50
MODULE_LINES = 330


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the place and the number of lines of each function, decorators not counted."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield f"{path}:{node.lineno} {node.name}", lines


def classes(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each class of the modules under ``root``, and its place."""
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            if isinstance(node, ast.ClassDef):
                yield node.name, f"{path}:{node.lineno}"


def namesakes(root: Path) -> Iterator[str]:
    """Yield one line for each class that has the name of an earlier one under ``root``."""
    first: dict[str, str] = {}
    for name, place in classes(root):
        if name in first:
            yield f"{place}: class {name} has the name of a class in {first[name]}"
        first.setdefault(name, place)


def complaints(root: Path) -> Iterator[str]:
    """Yield one line for each thing under ``root`` that is too large, or has a name twice."""
    yield from namesakes(root)
    sizes: list[int] = []
    for path in sorted(root.rglob("*.py")):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MODULE_LINES:
            yield f"{path}: {lines} lines, at most {MODULE_LINES}"
        for place, length in functions(path):
            sizes.append(length)
            if length > FUNCTION_LINES:
                yield f"{place}: {length} lines, at most {FUNCTION_LINES}"
    median = statistics.median(sizes or [0])
    if median > MEDIAN_LINES:
        yield f"{root}: the median function has {median} lines, at most {MEDIAN_LINES}"


if __name__ == "__main__":
    found = [line for root in sys.argv[1:] for line in complaints(Path(root))]
    print("\n".join(found) or "sizes: fine")
    sys.exit(bool(found))
