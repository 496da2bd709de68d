"""Which modules may import which: each arrow of the design, and no circle anywhere.

The sources are read, not imported, so imports inside functions and for typing count too.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
CORE: Mapping[str, set[str]] = {
    "files": set(),
    "cli": set(),
    "progress": {"cli"},
    "config": {"files", "cli"},
    "run": {"files", "cli", "config"},
    "data": {"files", "cli", "config", "progress"},
    "model": {"config"},
    "gpt2": {"files", "cli", "config", "progress", "data", "model"},
    "device": {"cli", "run"},
    "checkpoint": {"cli", "config", "progress", "run", "data", "model", "gpt2"},
    "inference": {
        *("files", "cli", "config", "progress", "run", "data", "model", "device", "checkpoint"),
    },
    "evaluate": {"files", "cli", "config", "progress", "run", "data", "model", "inference"},
    "train": {
        *("files", "cli", "config", "progress", "run", "data", "model", "gpt2", "device"),
        *("checkpoint", "inference"),
    },
}
"""The parts of the core, and those that each may import."""
COMMANDS = {
    "simplegpt",
    "simplegpt.__main__",
    "simplegpt.chat",
    "simplegpt.export",
    "simplegpt.new",
    "simplegpt.tokenizer",
}
"""The entry points of the core, which may import all of it."""
WORKBENCH = ("shared", "shell", "subject", "app", "serve", "__main__")
"""The layers of the workbench, each of which may import those before it."""
SUBJECTS = {"runs", "data", "config", "training", "chat"}
TORCH = {"torch", "lightning", "transformers"}


def module_files() -> dict[str, Path]:
    """All modules of both packages by dotted name."""
    files = {}
    for package in ("simplegpt", "tui"):
        for path in (REPOSITORY / package).rglob("*.py"):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            files[".".join(parts).removesuffix(".__init__")] = path
    return files


def imported_names(path: Path) -> Iterator[str]:
    """Everything that a module imports anywhere in it, by dotted name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = module_files()
IMPORTS = {name: set(imported_names(path)) for name, path in FILES.items()}
OWN_IMPORTS = {
    name: {other for other in names if other in FILES} for name, names in IMPORTS.items()
}


def libraries(module: str) -> set[str]:
    return {name.partition(".")[0] for name in IMPORTS[module]}


def part(module: str) -> str:
    """The part of its package that a module belongs to; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def layer(module: str) -> int:
    name = part(module)
    return WORKBENCH.index("subject" if name in SUBJECTS else name)


def test_core_imports_only_the_parts_below() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in OWN_IMPORTS.items()
        if module.startswith("simplegpt") and module not in COMMANDS
        for other in others
        if part(other) not in ("", part(module)) and part(other) not in CORE[part(module)]
    ]
    assert not wrong, "\n".join(wrong)


def test_core_never_imports_the_workbench_nor_its_library() -> None:
    wrong = {name for name in FILES if name.startswith("simplegpt")}
    wrong = {name for name in wrong if libraries(name) & {"tui", "textual"}}
    assert not wrong


def test_workbench_imports_only_the_layers_below() -> None:
    """So no subject imports another one, and none imports the app."""
    wrong = [
        f"{module} imports {other}"
        for module, others in OWN_IMPORTS.items()
        if part(module) and module.startswith("tui")
        for other in others
        if other.startswith("tui.")
        if part(other) != part(module) and layer(other) >= layer(module)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", ["tui", "simplegpt.run", "simplegpt.config"])
def test_workbench_and_what_it_reads_never_import_torch(package: str) -> None:
    modules = [name for name in FILES if f"{name}.".startswith(f"{package}.")]
    assert modules
    assert not [name for name in modules if libraries(name) & TORCH]


def test_no_module_imports_itself_through_others() -> None:
    circle = find_circle(OWN_IMPORTS)
    assert not circle, " -> ".join(circle)


def find_circle(graph: Mapping[str, set[str]]) -> Sequence[str]:
    """The modules of a circle of imports; empty where there is none. Packages do not count."""
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> Sequence[str]:
        if module in path:
            return (*path[path.index(module) :], module)
        if module not in done:
            for other in sorted(graph[module] - {"simplegpt", "tui", module}):
                if found := visit(other, (*path, module)):
                    return found
            done.add(module)
        return ()

    return next(filter(None, (visit(module, ()) for module in graph)), ())
