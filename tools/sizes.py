"""Refuse functions and modules that outgrew one thought and one sitting."""

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


def complaints(root: Path) -> Iterator[str]:
    """Yield one line for each thing under ``root`` that is too large."""
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
