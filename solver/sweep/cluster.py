"""Chunks as tasks of a ``dask.distributed`` cluster, whose workers are processes of their own, spawned and never forked.

A task takes the sweep as bytes and a chunk's number; a worker unpacks the sweep once. A chunk whose worker died is given to
another by the scheduler, and one already whole in the store is not solved again.
"""

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from solver.sweep.provenance import code, precision

AHEAD = 3  # tasks handed out for every thread of a worker


def solved_by(client: Any, work: Any, todo: list[int]) -> Iterator[tuple[int, dict[str, Any], Any]]:
    """Reports of the chunks (and their tables where there is no store) in the order they end.

    :raises ValueError: if the client's workers would be forked.
    :raises OSError: whatever a worker's writing raised.
    """
    from dask import config
    from distributed import as_completed

    if config.get("distributed.worker.multiprocessing-method", "spawn") == "fork":
        raise ValueError("distributed.worker.multiprocessing-method is 'fork', and JAX cannot be forked: set 'spawn'")
    payload = _packed(work)
    settings = (jnp.result_type(float) == jnp.float64, precision())
    expected = code(_game_class(work))
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


def _solve(payload: bytes, settings: tuple[bool, str | None], expected: str, chunk: int):
    x64, matmul = settings
    with jax.enable_x64(x64), jax.default_matmul_precision(matmul):
        work = _unpacked(payload, x64)
        if code(_game_class(work)) != expected:
            raise ValueError("the workers run other code than the client: install the same version on both")
        report = None if work.store is None else work.store.done(chunk)
        return work.solve(chunk) if report is None else (chunk, report, None)


@functools.lru_cache(maxsize=2)
def _unpacked(payload: bytes, x64: bool) -> Any:
    """The sweep; the same object for every chunk, so that a worker compiles once."""
    del x64
    import cloudpickle

    return cloudpickle.loads(payload)


def _packed(work: Any) -> bytes:
    """Functions and classes of scripts go by value, since a worker may not be able to import them."""
    import cloudpickle

    scripts = [sys.modules[name] for name in _modules(work) if "." not in name and name in sys.modules]
    scripts = [m for m in scripts if m.__name__ != "__main__" and not hasattr(m, "__path__")]
    for module in scripts:
        cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps(work)
    finally:
        for module in scripts:
            cloudpickle.unregister_pickle_by_value(module)


def _modules(work: Any) -> set[str]:
    callables: list[Callable | None] = [work.problem.make_game, work.problem.outputs, work.problem.score]
    return {getattr(f, "__module__", "") or "" for f in callables if f is not None} | {_game_class(work).__module__}


def _game_class(work: Any) -> type:
    return type(work.problem.game(tuple(values[0] for values in work.axes.values())))
