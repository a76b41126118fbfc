"""Chunks as tasks of a ``dask.distributed`` cluster, whose workers are processes of their own, spawned and never forked.

A task takes the sweep as bytes and a chunk's number; a worker unpacks the sweep once. A chunk whose worker died is given to
another by the scheduler, and one already whole in the store is not solved again.
"""

import ast
import dataclasses
import functools
import inspect
import os
import sys
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from solver.game import AbstractGame
from solver.sweep.provenance import code, precision

AHEAD = 3  # tasks handed out for every thread of a worker


def solved_by(client: Any, work: Any, store: Any, todo: list[int]) -> Iterator[tuple[int, Any, dict[str, Any]]]:
    """The chunks' numbers, tables (None where a worker wrote them into a store) and reports, in the order they end.

    :raises ValueError: if the client's workers would be forked.
    :raises OSError: whatever a worker's writing raised.
    """
    from dask import config
    from distributed import as_completed

    if config.get("distributed.worker.multiprocessing-method", "spawn") == "fork":
        raise ValueError("distributed.worker.multiprocessing-method is 'fork', and JAX cannot be forked: set 'spawn'")
    payload = _packed(work.problem), _packed((dataclasses.replace(work, problem=None), store))
    settings = (jnp.result_type(float) == jnp.float64, precision())
    expected = _checksum(work)
    waiting = iter(todo)
    slots = AHEAD * max(1, sum(client.nthreads().values()))

    def submit(k: int):
        return client.submit(_solve, payload, settings, expected, k, pure=False)

    running = as_completed([submit(k) for _, k in zip(range(slots), waiting, strict=False)])
    try:
        for future in running:
            yield future.result()
            future.release()
            if (k := next(waiting, None)) is not None:
                running.add(submit(k))
    finally:
        client.cancel(list(running.futures))


def _solve(payload: tuple[bytes, bytes], settings: tuple[bool, str | None], expected: str, chunk: int):
    x64, matmul = settings
    with jax.enable_x64(x64), jax.default_matmul_precision(matmul):
        problem, (work, store) = (_unpacked(part, x64) for part in payload)
        work = dataclasses.replace(work, problem=problem)
        if _checksum(work) != expected:
            raise ValueError("the workers run other code than the client: install the same version on both")
        report = None if store is None else store.done(chunk)
        if report is not None:
            return chunk, None, report
        tables, report = work.solve(chunk)
        if store is None:
            return chunk, tables, report
        store.write(chunk, tables, report)
        return chunk, None, report


@functools.lru_cache(maxsize=4)
def _unpacked(payload: bytes, x64: bool) -> Any:
    """A part of the sweep; the problem is the same object for all chunks and lists of points: a worker compiles once."""
    del x64
    import cloudpickle

    return cloudpickle.loads(payload)


def _packed(value: Any) -> bytes:
    """Functions and classes of scripts and notebooks go by value, since a worker may not be able to import them."""
    import io

    import cloudpickle

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, obj):
            if isinstance(obj, type) and issubclass(obj, eqx.Module) and _is_script(sys.modules.get(obj.__module__)):
                return _class_from_source, _source_and_globals(obj)
            return super().reducer_override(obj)

    scripts = [m for m in list(sys.modules.values()) if _is_script(m) and m.__name__ != "__main__"]
    for module in scripts:
        cloudpickle.register_pickle_by_value(module)
    try:
        file = io.BytesIO()
        Pickler(file).dump(value)
        return file.getvalue()
    finally:
        for module in scripts:
            cloudpickle.unregister_pickle_by_value(module)


def _is_script(module: ModuleType | None) -> bool:
    """Whether a module is a file of the user's own, in no package and not installed."""
    name, file = getattr(module, "__name__", "."), getattr(module, "__file__", None)
    if name == "__main__":
        return True
    installed = tuple(map(os.path.realpath, (sys.prefix, sys.base_prefix)))
    own = "." not in name and not hasattr(module, "__path__")
    return own and file is not None and not os.path.realpath(file).startswith(installed)


def _source_and_globals(cls: type) -> tuple[str, str, str, dict[str, Any]]:
    """A Module's class as source: its fields are known only while it is created, so that it cannot be pickled by value."""
    source = textwrap.dedent(inspect.getsource(cls))
    used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)} - {cls.__name__}
    known = vars(sys.modules[cls.__module__])
    return cls.__name__, cls.__module__, source, {name: known[name] for name in sorted(used & set(known))}


def _class_from_source(name: str, module: str, source: str, known: dict[str, Any]) -> type:
    space = {**known, "__name__": module}
    exec(compile(source, f"<{module}.{name}>", "exec"), space)
    return space[name]


def _checksum(work: Any) -> str:
    """Of the installed code that makes the numbers; what scripts hold was sent."""
    game = type(work.problem.game(tuple(values[0] for values in work.axes.values())))
    return code(game if "." in game.__module__ else AbstractGame)
