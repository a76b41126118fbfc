"""Sweeps over several devices and several processes: the same result, whoever solves what."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from test_store import GRID, make, run, total

from solver import sweep

distributed = pytest.importorskip("distributed")

DEVICES = """
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
import jax
jax.config.update("jax_enable_x64", True)
sys.path.insert(0, {here!r})
from test_store import run
from solver.sweep.lanes import mesh_of_devices
assert mesh_of_devices().shape == {{"lane": 4}}
ds = run(chunk=None)
assert ds.attrs["device"].startswith("4 x"), ds.attrs["device"]
ds.to_netcdf(sys.argv[1], engine="h5netcdf")
from test_store import GRID, make
from solver import Newton, sweep
found = sweep(make, GRID, Newton(), progress=False)  # LAPACK's factorisations on several devices never ended
assert abs(found.strategies - ds.strategies).max() < 1e-5
"""
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def undisturbed():
    return run()


def assert_same(ds, other):
    xr.testing.assert_allclose(ds.compute(), other, rtol=1e-9, atol=1e-9)
    assert set(ds.data_vars) == set(other.data_vars)


def test_four_devices(undisturbed, tmp_path):
    (tmp_path / "run.py").write_text(textwrap.dedent(DEVICES.format(here=str(HERE))))
    subprocess.run([sys.executable, str(tmp_path / "run.py"), str(tmp_path / "s.nc")], check=True, timeout=300)
    assert_same(xr.open_dataset(tmp_path / "s.nc", engine="h5netcdf"), undisturbed)


def kill_one_once_chunks_appear(path, pids, killed):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (path / ".sweep").is_dir() and list((path / ".sweep").glob("[0-9]*.json")):
            killed.append(pids[0])
            os.kill(pids[0], 9)
            return
        time.sleep(0.002)


@pytest.mark.filterwarnings("ignore")  # of the cluster's own, about the worker it lost
def test_two_processes_one_of_them_killed(undisturbed, tmp_path):
    """Lambdas and classes of a script travel; the killed worker's chunks are taken over; the workers' precision is ours."""
    path, killed = tmp_path / "s.zarr", []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        cluster.get_client() as client,
    ):
        pids = list(client.run(os.getpid).values())
        assert os.getpid() not in pids
        watch = threading.Thread(target=kill_one_once_chunks_appear, args=(path, pids, killed))
        watch.start()
        assert_same(run(path, chunk=1, client=client, outputs=lambda g, s: total(g, s)), undisturbed)
        watch.join()
        assert killed
        in_memory = sweep(make, GRID, chunk=9, client=client, progress=False)
        np.testing.assert_allclose(in_memory.payoffs, undisturbed.payoffs, rtol=1e-9)
        assert in_memory.payoffs.dtype == np.float64
        adaptive = {"outputs": None, "refine": lambda ds: ds.payoffs.argmax("player"), "coarse_step": 2}
        assert_same(run(tmp_path / "a.zarr", client=client, **adaptive), run(**adaptive))


@pytest.mark.filterwarnings("ignore")
def test_scheduler_and_workers_by_their_command_lines(undisturbed, tmp_path):
    """As on a cluster: processes that know of each other by a file alone, and cannot import the script."""
    address, path = tmp_path / "scheduler.json", tmp_path / "s.zarr"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    about = ["--scheduler-file", str(address)]
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", *about, "--port", "0", "--no-dashboard"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", *about, "--nthreads", "1", "--nworkers", "2"]
    processes = [subprocess.Popen([*command, "--no-dashboard"], **quiet) for command in (scheduler, worker)]
    try:
        with distributed.Client(scheduler_file=str(address), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            assert_same(run(path, chunk=9, client=client), undisturbed)
            workers = client.run(os.getpid)
            assert len(set(workers.values())) == 2
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(timeout=30)
