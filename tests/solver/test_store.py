"""Stores: what is written is whole or not counted, and belongs to one sweep."""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from small_games import Broken, Cournot

from solver import BestResponse, sweep
from solver.sweep.grid import layout

GRID = {"a": np.linspace(50.0, 120.0, 6), "c": np.array([5.0, 10.0, 20.0])}
HERE = Path(__file__).parent


def make(a, c):
    return Cournot(a, jnp.stack([c, jnp.asarray(10.0), jnp.asarray(10.0)]), jnp.asarray(1.0), jnp.asarray(0.0))


def total(game, strategies):
    q = jnp.concatenate(strategies)
    firm = {"firm": ("x", "y", "z")}
    return {"price": ((), game.a - q.sum(), {"units": "USD"}), "share": (firm, q / q.sum()), "loss": q.sum() > 1e6}


def run(path=None, grid=GRID, **options):
    return sweep(make, grid, **({"outputs": total, "chunk": 3, "progress": False, "store": path} | options))


@pytest.fixture(scope="module")
def undisturbed():
    return run()


def assert_same(ds, other):
    xr.testing.assert_identical(ds.compute().drop_attrs(deep=False), other.drop_attrs(deep=False))


def test_layouts_hold_every_point_once():
    for shape, limit in (((6, 5), 8), ((7,), 3), ((3, 4, 5), 7), ((2, 2), 100), ((1, 1500), 1024), ((5, 3), 1)):
        cut = layout(shape, limit)
        assert cut.size <= limit
        axes = {str(k): np.arange(n, dtype=float) for k, n in enumerate(shape)}
        seen = [np.ravel_multi_index(np.array(cut.points(axes, k)).astype(int), shape) for k in range(cut.num_chunks)]
        assert sorted(np.concatenate(seen)) == list(range(cut.num_points))


def test_a_store_holds_what_memory_does(undisturbed, tmp_path):
    ds = run(tmp_path / "s.zarr")
    assert_same(ds, undisturbed)
    assert_same(xr.open_zarr(tmp_path / "s.zarr"), undisturbed)
    assert ds.price.attrs == {"units": "USD"}
    assert ds.share.dims == ("a", "c", "firm")
    assert list(ds.firm.values) == ["x", "y", "z"]
    assert ds.loss.dtype == bool
    ds.to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    attrs = xr.open_dataset(tmp_path / "s.nc", engine="h5netcdf").attrs
    wanted = {"nashgrid_version", "git_commit", "git_dirty", "jax_version", "numpy_version", "device", "dtype", "seed"}
    wanted |= {"matmul_precision", "parameters", "fingerprint", "tolerance", "algorithm", "wall_seconds", "code"}
    assert wanted <= set(attrs)
    assert attrs["dtype"] == "float64"
    assert json.loads(attrs["parameters"])["shift"] == "0.0"


@pytest.mark.parametrize("harm", ["torn", "altered", "lost", "exchanged", "manifest"])
def test_harm_to_a_chunk_is_found_and_mended(undisturbed, tmp_path, harm):
    path = tmp_path / "s.zarr"
    run(path)
    first, second = (path / "payoffs" / "c" / k / "0" / "0" for k in ("1", "2"))
    raw = first.read_bytes()
    if harm == "torn":
        first.write_bytes(raw[: len(raw) // 2])
    elif harm == "altered":
        first.write_bytes(raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:])
        with pytest.raises(Exception, match=r"(?i)zstd|checksum|decompress"):  # never read as whole, resumed or not
            xr.open_zarr(path).compute()
    elif harm == "lost":
        first.unlink()
    elif harm == "exchanged":
        first.write_bytes(second.read_bytes())
    else:
        (path / ".sweep" / "1.json").write_text('{"chunk": 1, "fi')
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*") if p.is_file()}
    assert_same(run(path), undisturbed)
    assert first.read_bytes() == raw
    others = [p for p in before if p.parent.name == ".sweep" and p.stem.isdigit() and p.name != "1.json"]
    assert len(others) == 5
    assert all(p.stat().st_mtime_ns == before[p] for p in others)  # solved once only


def test_a_finished_store_opens_without_a_trace(undisturbed, tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    first = run(path)
    module = importlib.import_module("solver.sweep.run")
    monkeypatch.setattr(module, "affordable", None)
    monkeypatch.setattr(module, "shapes_of", None)
    again = run(path)
    assert_same(again, undisturbed)
    assert again.attrs == first.attrs  # the time is what it took
    with pytest.raises(ValueError, match="another sweep"):
        run(path, max_steps=50)
    (path / "payoffs" / "zarr.json").unlink()
    with pytest.raises(TypeError, match="not callable"):  # it is not whole, so that it would be mended
        run(path)


def test_altered_coordinates_are_put_back(undisturbed, tmp_path):
    path = tmp_path / "s.zarr"
    run(path)
    file = next(p for p in (path / "a" / "c").rglob("*") if p.is_file())
    file.write_bytes(b"nonsense")
    assert_same(run(path), undisturbed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grid": {**GRID, "a": np.linspace(50.0, 121.0, 6)}}, ("grid axis a", "121")),
        ({"grid": {"c": GRID["c"], "a": GRID["a"]}}, ("order of the axes",)),
        ({"algorithm": BestResponse(damping=0.5)}, ("algorithm damping", "0.5")),
        ({"tolerance": 1e-7}, ("tolerance", "1e-07", "1e-08")),
        ({"outputs": None}, ("outputs", "none")),
        ({"start": 1.0}, ("starts", "midpoint")),
        ({"max_steps": 50}, ("max_steps", "200", "50")),
    ],
)
def test_another_sweeps_store_is_refused(store, change, words):
    with pytest.raises(ValueError, match="another sweep") as error:
        run(store, **change)
    assert all(word in str(error.value) for word in words)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "s.zarr"
    run(path)
    return path


def test_other_parameters_and_precision_are_refused(store, tmp_path):
    def other(a, c):
        return Cournot(a, jnp.stack([c, c, jnp.asarray(10.0)]), jnp.asarray(1.0), jnp.asarray(0.0))

    with pytest.raises(ValueError, match=r"costs was \[5.0, 10.0, 10.0\], now \[5.0, 5.0, 10.0\]"):
        sweep(other, GRID, outputs=total, store=store, progress=False)
    with jax.enable_x64(False), pytest.raises(ValueError, match="dtype was float64, now float32"):
        run(store, tolerance=1e-4)
    with pytest.raises(ValueError, match="exists"):
        run(store, resume=False)
    (tmp_path / "else").mkdir()
    with pytest.raises(ValueError, match="no sweep's store"):
        run(tmp_path / "else")


SCRIPT = """
import sys
import jax
jax.config.update("jax_enable_x64", True)
sys.path.insert(0, {here!r})
from test_store import run
run(sys.argv[1])
"""


def script(tmp_path, text=SCRIPT):
    (tmp_path / "run.py").write_text(textwrap.dedent(text.format(here=str(HERE))))
    return [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "s.zarr")]


def test_killed_and_resumed_is_the_same(undisturbed, tmp_path):
    process = subprocess.Popen(script(tmp_path))
    first = tmp_path / "s.zarr" / ".sweep" / "0.json"
    deadline = time.monotonic() + 120
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.exists()
    (first.parent / "2.json.0.part").touch()  # as a killed writer may leave one
    assert_same(run(tmp_path / "s.zarr"), undisturbed)
    assert [p.name for p in tmp_path.iterdir() if p.name != "run.py"] == ["s.zarr"]
    assert not list(tmp_path.rglob("*.part"))


def noise(game, strategies):
    """Nothing where a <= 2, else what cannot be compressed."""
    return {"noise": jnp.where(game.a > 2, jnp.sin(1e4 * game.a + 1e3 * jnp.arange(8000.0) ** 2), 0.0)}


def test_a_full_disk_is_an_error_and_no_loss(tmp_path):
    path, grid = tmp_path / "s.zarr", {"a": np.arange(1.0, 5.0)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"s\.zarr.*no space is left.*whole.*call again"):
            sweep(Broken, grid, outputs=noise, store=path, chunk=1, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in sorted((path / ".sweep").glob("[0-9]*"))] == ["0.json", "1.json"]
    assert not list(path.rglob("*.part"))
    kept = (path / ".sweep" / "0.json").stat().st_mtime_ns
    ds = sweep(Broken, grid, outputs=noise, store=path, chunk=1, progress=False)
    assert (path / ".sweep" / "0.json").stat().st_mtime_ns == kept
    assert (ds.status == 0).all()
    assert float(np.abs(ds.noise).max()) > 0.9


def test_where_nothing_can_be_written_nothing_is_solved(tmp_path, monkeypatch):
    def never(*args):
        raise AssertionError("solved")

    (tmp_path / "file").write_text("")
    (tmp_path / "there").mkdir()
    begun = tmp_path / "there" / "s.zarr"
    sweep(Broken, {"a": [1.0]}, store=begun, progress=False)
    (begun / ".sweep" / "0.json").unlink()
    monkeypatch.setattr(importlib.import_module("solver.sweep.chunks"), "solve_points", never)
    with pytest.raises(NotADirectoryError, match=r"s\.zarr.*is a file; give another name"):
        sweep(Broken, {"a": [1.0]}, store=tmp_path / "file" / "s.zarr", progress=False)
    for path, closed in ((tmp_path / "new" / "s.zarr", tmp_path), (begun, tmp_path / "there"), (begun, begun)):
        monkeypatch.setattr(os, "access", lambda folder, mode, closed=closed: Path(folder) != closed)
        with pytest.raises(
            PermissionError, match=rf"s\.zarr.*{closed.name} may not be written to; give another folder"
        ):
            sweep(Broken, {"a": [1.0]}, store=path, progress=False)


def test_a_finished_store_needs_no_permission_to_write(tmp_path, monkeypatch):
    first = sweep(Broken, {"a": [1.0, 2.0]}, store=tmp_path / "s.zarr", progress=False)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    xr.testing.assert_identical(sweep(Broken, {"a": [1.0, 2.0]}, store=tmp_path / "s.zarr", progress=False), first)
