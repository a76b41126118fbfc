"""Where a sweep's numbers come from: what tells two sweeps apart, and what a reader of the Dataset is told."""

import ast
import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
import platform
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from solver.game import AbstractGame
from solver.sweep.lanes import Problem

PACKAGES = ("jax", "jaxlib", "equinox", "numpy", "xarray", "zarr")
LONGEST = 32  # values of an array written out; of longer ones the shape and a checksum


def identity(
    problem: Problem, axes: Mapping[str, np.ndarray], selection: Any, refine: Any, steps: tuple[int, ...] | None
) -> dict[str, str]:
    """Everything the numbers depend on, by name and as text: two sweeps that differ in one of them are two."""
    found = {f"grid axis {name}": f"{len(v)} values from {v[0]:g} to {v[-1]:g} {_array(v)}" for name, v in axes.items()}
    found["order of the axes"] = ", ".join(axes)
    for place, at in (("first", 0), ("last", -1)):
        game = problem.game(tuple(v[at] for v in axes.values()))
        found |= {f"game at the {place} point, {name}": text for name, text in described(game).items()}
    found |= {f"algorithm {name}": text for name, text in described(problem.algorithm).items()}
    found |= {
        "tolerance": repr(float(problem.tolerance)),
        "max_steps": f"{int(problem.max_steps)}",
        "starts": "midpoint" if problem.starts is None else "; ".join(_array(np.asarray(s)) for s in problem.starts),
        "selection": selection if isinstance(selection, str) else _code(selection),
        "make_game": _code(problem.make_game),
        "outputs": _code(problem.outputs),
        "dtype": str(problem.tolerance.dtype),
        "matmul precision": precision(),
        "code": code(type(game)),
    }
    if refine is not None:
        found |= {"refine": refine if isinstance(refine, str) else _code(refine), "coarse steps": str(steps)}
    return found


def attributes(problem: Problem, axes: Mapping[str, np.ndarray], same: Mapping[str, str]) -> dict[str, Any]:
    """The Dataset's attributes: strings and numbers only, so that any format can hold them."""
    first = "game at the first point, "
    parameters = {name.removeprefix(first): text for name, text in same.items() if name.startswith(first)}
    text = json.dumps({k: v for k, v in parameters.items() if k.rpartition(".")[2] not in axes}, ensure_ascii=False)
    commit, dirty = _git()
    device = jax.local_devices()[0]
    return {
        "nashgrid_version": _version("nashgrid"),
        "git_commit": commit,
        "git_dirty": dirty,
        "python_version": platform.python_version(),
        **{f"{name}_version": _version(name) for name in PACKAGES},
        "device": f"{len(jax.local_devices())} x {device.device_kind} ({device.platform})",
        "dtype": same["dtype"],
        "matmul_precision": same["matmul precision"],
        "seed": "none: nothing is drawn at random",
        "algorithm": repr(problem.algorithm),
        "tolerance": float(problem.tolerance),
        "max_steps": int(problem.max_steps),
        "starts": same["starts"],
        "selection": same["selection"],
        "game": parameters["class"],
        "parameters": text if len(text) < 30_000 else text[:30_000] + " ...",
        "fingerprint": _sha(json.dumps(dict(same), sort_keys=True)),
        "code": same["code"],
    }


def described(value: Any, name: str = "") -> dict[str, str]:
    """A Module's fields by their paths, static ones too, as text."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return {name: _text(value)}
    found = {f"{name}.class".lstrip("."): f"{type(value).__module__}.{type(value).__qualname__}"}
    for item in dataclasses.fields(value):
        found |= described(getattr(value, item.name), f"{name}.{item.name}".lstrip("."))
    return found


def _text(value: Any) -> str:
    if isinstance(value, (jax.Array, np.ndarray, float)):
        return _array(np.asarray(value))
    if isinstance(value, (list, tuple)):
        return f"({', '.join(_text(v) for v in value)})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k}: {_text(v)}' for k, v in value.items())}}}"
    return _code(value) if callable(value) else repr(value)


def _array(value: np.ndarray) -> str:
    if value.size <= LONGEST:
        return json.dumps(value.tolist())
    return f"{value.shape} {value.dtype} {_sha(np.ascontiguousarray(value).tobytes())[:12]}"


def _code(function: Callable | None) -> str:
    """A function by its name, bytecode and the numbers and words it closes over, other callables by their fields."""
    if function is None:
        return "none"
    if isinstance(function, functools.partial):
        return f"partial({_code(function.func)}, {_text(function.args)}, {_text(function.keywords)})"
    if dataclasses.is_dataclass(function) and not isinstance(function, type):
        return json.dumps(described(function), ensure_ascii=False)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    body = getattr(function, "__code__", None)
    if body is None:
        return name
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    held = [_text(v) for v in cells if isinstance(v, (bool, int, float, str, np.ndarray, jax.Array))]
    return f"{name} {_sha(_body(body) + json.dumps(held))[:12]}"


def _body(code) -> str:
    constants = [_body(c) if inspect.iscode(c) else repr(c) for c in code.co_consts]
    return repr((code.co_code, constants, code.co_names, code.co_varnames))


@functools.cache
def code(game: type[AbstractGame]) -> str:
    """A checksum of the source that makes the numbers: the solver's and the game's modules with all they import."""
    seen: dict[str, str] = {}
    waiting = ["solver.sweep.lanes", "solver.sweep.labels"]
    if "." in game.__module__:
        waiting.append(game.__module__)
    else:  # a script: its game alone, so that the figures below it may change
        try:
            seen[game.__qualname__] = inspect.getsource(game)
        except (OSError, TypeError):
            seen[game.__qualname__] = repr(sorted(vars(game)))
    while waiting:
        name = waiting.pop()
        path = None if name in seen else _file(name)
        if path:
            tree = ast.parse(Path(path).read_text())
            seen[name] = ast.dump(tree)
            waiting += [m for m in _imports(tree) if m.partition(".")[0] == name.partition(".")[0]]
            waiting += [m for m in _imports(tree) if m.partition(".")[0] == "solver"]
    return _sha(json.dumps(seen, sort_keys=True))[:16]


def _file(module: str) -> str | None:
    """A module's source, loaded or not; None for what is no module."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec and spec.origin and spec.origin.endswith(".py") else None


def _imports(tree: ast.AST) -> list[str]:
    """What a module imports; from a package, the modules that hold the names asked for and not all it gathers."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    found = [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    for node in nodes:
        gathered = _gathered(str(node.module))
        for name in (a.name for a in node.names):
            inner = f"{node.module}.{name}"
            found.append(gathered.get(name) or (inner if _file(inner) else str(node.module)))
    return found


@functools.cache
def _gathered(package: str) -> dict[str, str]:
    """The names that a package's ``__init__`` takes from its modules, and from which; nothing for a module."""
    file = _file(package) if package.partition(".")[0] in ("solver", "games") else None
    if file is None or Path(file).name != "__init__.py":
        return {}
    nodes = [node for node in ast.parse(Path(file).read_text()).body if isinstance(node, ast.ImportFrom)]
    return {a.asname or a.name: str(node.module) for node in nodes for a in node.names}


@functools.cache
def _git() -> tuple[str, str]:
    """The commit of the solver's source, and whether files differ from it; "unknown" outside a git tree that holds it."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10).stdout

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD").strip(), "yes" if git("status", "--porcelain", "-uno").strip() else "no"
    except (OSError, subprocess.SubprocessError):
        return "unknown", "unknown"


@functools.cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def precision() -> str:
    return str(jax.config.jax_default_matmul_precision or "default")  # pyright: ignore[reportAttributeAccessIssue]


def _sha(value: str | bytes) -> str:
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).hexdigest()
