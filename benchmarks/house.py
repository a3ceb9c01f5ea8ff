"""The house in numbers: rooms, their lines, imports between them, lengths of functions, look-ups by string.

    python benchmarks/house.py [CHECKOUT]...

Prints one column for each checkout, so that two commits stand side by side (`git worktree add` makes the other).
Code lines are those that are neither blank, comment nor docstring. A floor is a module's longest way down by imports.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGES = ("orchestrator", "evaluation")
SHORT = 20  # code lines


@dataclass(frozen=True, kw_only=True)
class Module:
    """One module: its name, room, syntax tree and text."""

    name: str
    room: str
    tree: ast.Module
    text: str


def modules(root: Path) -> dict[str, Module]:
    """Read every module of the packages of a checkout."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        room = "/".join(parts[:2]) if len(parts) > 2 else f"{parts[0]}, root"  # noqa: PLR2004 - package, room, module
        text = path.read_text()
        found[name] = Module(name=name, room=room, tree=ast.parse(text), text=text)
    return found


def imports(module: Module, known: dict[str, Module]) -> set[str]:
    """Return the modules that a module imports, when it is used and when it is checked."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            package = module.name if module.text and node.level else ""
            base = ".".join([*package.split(".")[: -node.level or None], node.module or ""]).strip(".")
            found |= {name if name in known else base for name in (f"{base}.{one.name}" for one in node.names)}
    return {name for name in found if name in known} - {module.name}


def docstrings(tree: ast.Module) -> set[int]:
    """Return the lines of docstrings."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                lines |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def code_lines(module: Module) -> set[int]:
    """Return the numbers of the lines that hold code."""
    rows = enumerate(module.text.splitlines(), start=1)
    written = {number for number, row in rows if row.strip() and not row.strip().startswith("#")}
    return written - docstrings(module.tree)


def floors(known: dict[str, Module]) -> tuple[int, int]:
    """Return the longest way down by imports, and how many modules lie on a circle."""
    edges = {name: imports(module, known) for name, module in known.items()}
    on_circle = {name for name in edges if name in _reached(edges, name)}

    @cache
    def depth(name: str) -> int:
        return 1 + max((depth(one) for one in edges[name] if one not in on_circle), default=0)

    return max(depth(name) for name in edges if name not in on_circle), len(on_circle)


def _reached(edges: dict[str, set[str]], start: str) -> set[str]:
    """Return all that can be reached from a module."""
    seen: set[str] = set()
    ahead = [*edges[start]]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += edges[name]
    return seen


def functions(module: Module) -> list[tuple[int, bool]]:
    """Return for every function its code lines, and whether its return is typed."""
    code = code_lines(module)
    nodes = [node for node in ast.walk(module.tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return [(len(code & set(range(one.lineno, (one.end_lineno or 0) + 1))), one.returns is not None) for one in nodes]


def look_ups(module: Module) -> int:
    """Count look-ups by a string that is written out: document["field"], document.get("field")."""
    count = 0
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            if isinstance(node.value, ast.Name) and node.value.id == "Literal":  # a type, no look-up
                continue
            key = node.slice
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            key = node.args[0]
        else:
            continue
        count += isinstance(key, ast.Constant) and isinstance(key.value, str)
    return count


def figures(root: Path) -> dict[str, str]:
    """Return every figure of a checkout as text, by its title."""
    known = modules(root)
    found = {"modules at the root of orchestrator": sum(one.room == "orchestrator, root" for one in known.values()) - 1}
    rows: dict[str, str] = {title: str(number) for title, number in found.items()}
    depth, circles = floors(known)
    made = [pair for one in known.values() for pair in functions(one)]
    rows |= {
        "modules": str(len(known)),
        "lines": str(sum(len(one.text.splitlines()) for one in known.values())),
        "code lines": str(sum(len(code_lines(one)) for one in known.values())),
        "floors": str(depth),
        "modules on a circle of imports": str(circles),
        "longest function, code lines": str(max(lines for lines, _ in made)),
        f"functions of at most {SHORT} code lines": f"{sum(lines <= SHORT for lines, _ in made) / len(made):.1%}",
        "returns with a type": f"{sum(typed for _, typed in made) / len(made):.1%}",
        "look-ups by a string": str(sum(look_ups(one) for one in known.values())),
    }
    for room in sorted({one.room for one in known.values()}):
        inside = [one for one in known.values() if one.room == room]
        lines = sum(len(one.text.splitlines()) for one in inside)
        rows[f"{room}: modules, lines, code"] = f"{len(inside)}, {lines}, {sum(len(code_lines(one)) for one in inside)}"
    return rows


def main() -> None:
    """Print the figures of every checkout beside each other."""
    roots = [Path(one) for one in sys.argv[1:]] or [Path(__file__).parents[1]]
    columns = [figures(root) for root in roots]
    print("| | " + " | ".join(root.resolve().name for root in roots) + " |")
    print("|---|" + "---|" * len(roots))
    for title in dict.fromkeys(title for column in columns for title in column):
        print(f"| {title} | " + " | ".join(column.get(title, "-") for column in columns) + " |")


if __name__ == "__main__":
    main()
