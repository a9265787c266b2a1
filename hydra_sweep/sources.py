"""Which files of a user's own a run is made of: what was edited since must not be mixed with what was run before."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any


def targets(config: Any) -> Iterator[str]:
    """Yields the dotted name of each `_target_` in a plain configuration, however deep."""
    if isinstance(config, Mapping):
        if isinstance(target := config.get("_target_"), str):
            yield target
        config = list(config.values())
    for value in config if isinstance(config, list) else ():
        yield from targets(value)


def own_files(names: Iterable[str] = (), files: Iterable[Path] = (), known: Iterable[str] = ()) -> dict[str, Path]:
    """Returns the modules of a user's own folders that some code is made of, {module: file}.

    Installed packages, Python's own modules and this one are left out; so is what is imported by a computed name.

    Args:
        names: dotted names of what is used, such as a `_target_`.
        files: scripts and modules that are used, whatever folders they are in.
        known: folders of other code that has a version of its own.
    """
    others = [*_foreign_folders(), *(Path(folder).resolve() for folder in known)]
    found = {path.stem: path for path in files}
    left = [("", path) for path in found.values()]
    for name in names:
        left += _module(name, found, others)
    while left:
        for name in _imports(*left.pop()):
            left += _module(name, found, others)
    return found


def versions(config: Any, known: Iterable[str] = ()) -> dict[str, str]:
    """Returns the modules of a user's own that a configuration's targets are made of, each with eight digits of it."""
    files = own_files(targets(config), known=known)
    return {name: hashlib.sha256(path.read_bytes()).hexdigest()[:8] for name, path in sorted(files.items())}


def edited(before: Mapping[str, str] | None, now: Mapping[str, str]) -> list[str]:
    """Returns a line for each module that is another one by now; nothing if no versions were recorded."""
    modules = () if before is None else dict.fromkeys([*before, *now])
    return [f"{name} has been edited" for name in modules if (before or {}).get(name) != now.get(name)]


def find(name: str) -> tuple[str, Path] | None:
    """Returns the module that a dotted name is in, and its file; None if it has none. Imports nothing."""
    spec, full, folders = None, "", None
    for part in name.split("."):
        full = f"{full}.{part}".lstrip(".")
        try:
            found = PathFinder.find_spec(full, folders) if spec else importlib.util.find_spec(full)
        except (ImportError, ValueError, KeyError):  # of __main__, which has no spec; of a folder without code
            found = None
        if found is None:
            break
        spec, folders = found, found.submodule_search_locations
        if folders is None:
            break
    is_file = spec is not None and spec.origin is not None and Path(spec.origin).is_file()
    return (spec.name, Path(spec.origin)) if is_file else None  # type: ignore[union-attr, arg-type]


def _module(name: str, found: dict[str, Path], others: Sequence[Path]) -> list[tuple[str, Path]]:
    """Adds a name's module and the packages around it to what is found. Returns those that are new."""
    new = []
    while name and (place := find(name)):
        module, path = place
        if module not in found and path.suffix == ".py" and not any(map(path.resolve().is_relative_to, others)):
            found[module] = path
            new.append((module if path.name == "__init__.py" else module.rpartition(".")[0], path))
        name = module.rpartition(".")[0]
    return new


def _imports(package: str, path: Path) -> Iterator[str]:
    """Yields the names that a module imports, anywhere in it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{name}.{alias.name}".strip(".") for alias in node.names)


@cache
def _foreign_folders() -> list[Path]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    # Another environment's packages, too, which a .pth file or PYTHONPATH may have added.
    paths |= {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    return [Path(path).resolve() for path in {*paths, *site.getsitepackages(), str(Path(__file__).parent)}]
