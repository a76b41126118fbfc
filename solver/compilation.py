"""What XLA is asked to do on a CPU, where a single solve is nearly all compilation.

Measured on the restriction game's payoffs (a batch of 35, two cores, jax 0.10): as XLA comes, 9.4 s of processor time to
compile; without fusion emitters 6.5 s, the program running as fast; without optimisation too 2.0 s, running 2 to 3 times
as long. On other devices nothing is changed.
"""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.experimental.xla_metadata import set_xla_metadata

PLAIN = {"xla_cpu_use_fusion_emitters": False}
# programs of long loops over lanes: sums handed to a library of kernels (YNNPACK) cost half of a float32 step of the
# challengers' stage, and vectors of 256 bits, XLA's choice, a tenth
OWN_LOOPS = PLAIN | {"xla_cpu_experimental_ynn_fusion_type": "", "xla_cpu_prefer_vector_width": 512}
# programs that run for less time than they take to compile; derivatives came out as NaN once at level 0, so not where a
# NaN would go unnoticed
ONCE = PLAIN | {"xla_backend_optimization_level": 0}

# programs of derivatives of inner equilibria, whose compilation is all they cost, and whose NaN says something
LARGE = PLAIN | {"xla_backend_optimization_level": 1}


def compiler_options(options: dict[str, Any]) -> dict[str, Any] | None:
    """``options`` if the default device is a CPU and its XLA knows them, else None."""
    return options if jax.default_backend() == "cpu" and _known(tuple(options.items())) else None


@functools.cache
def _known(options: tuple[tuple[str, Any], ...]) -> bool:
    try:
        jax.jit(jnp.negative, compiler_options=dict(options))(1.0)
    except Exception:  # whatever another version of XLA says to a name it does not know
        return False
    return True


def jit_once(function: Callable, options: Mapping[str, Any] = ONCE) -> Callable:
    """``equinox.filter_jit`` for a program that runs about once; inside another jit, the function itself."""

    @functools.cache
    def compiled():
        return eqx.filter_jit(function, compiler_options=compiler_options(dict(options)))  # type: ignore[call-overload]

    @functools.wraps(function)
    def call(*args):
        inside = isinstance(jnp.zeros(()), Tracer)
        return function(*args) if inside else compiled()(*args)

    return call


def cores() -> int:
    """Processors that this process may use: on a shared machine fewer than it has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def as_here(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` as it would run in this thread: another one knows nothing of this one's precision and device."""
    double = jnp.result_type(float) == jnp.float64
    matmul = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]

    def run(*args: Any) -> Any:
        with jax.enable_x64(double), jax.default_matmul_precision(matmul), jax.default_device(device):
            return function(*args)

    return run


def apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of arrays as a part of a program that XLA compiles by itself on a CPU.

    XLA joins a result's computation with every use of it and so computes it anew for each: a chain of small systems of
    equations came out 10 to 15 times as slow as its parts.
    """
    return _called(function, inlineable="false")


KERNELS = jax.__version_info__[:2] == (0, 10)  # an attribute of XLA's own, which another version may read otherwise


def in_one_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of arrays, loops and all, as one kernel of one thread on a CPU; itself under a jax not tried with it.

    XLA else starts a kernel an operation, each at the price of computing some hundred numbers, and shares them out to
    threads that other calls need. From within a kernel it cannot share out, and fails to compile one with an operation so
    large that it would ("Symbols not found: __xla_cpu_runtime_ParallelForkJoin"): see :func:`first_compiled`. It aborted
    over the nested logit's step and over one with empty arrays.
    """
    return _called(function, inlineable="false", xla_cpu_small_call="true") if KERNELS else function


def _called(function: Callable[..., Any], **attributes: str) -> Callable[..., Any]:
    compiled = jax.jit(function, inline=False)

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        if jax.default_backend() != "cpu":
            return function(*args)
        with set_xla_metadata(**attributes):
            return compiled(*args)

    return call


def first_compiled(*programs: Callable[..., Any]) -> Callable[..., Any]:
    """The first of some jitted programs that runs for arguments of the shapes given; static ones are given by keyword.

    A program that once failed is not tried again for these shapes, whatever the reason.
    """
    refused = set()

    def call(*args: Any, **static: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        shapes = tree, *((jnp.shape(x), jnp.result_type(x)) for x in leaves), *static.items()
        for k, program in enumerate(programs[:-1]):
            try:
                if (k, shapes) not in refused:
                    return program(*args, **static)
            except jax.errors.JaxRuntimeError:
                refused.add((k, shapes))
        return programs[-1](*args, **static)

    return call
