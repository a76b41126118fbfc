"""A zarr store of a sweep that is never half-written: chunks count only once a manifest with their checksums names them.

A chunk of the sweep is one zarr chunk of every array. Its files are written first, each under another name, synced and
renamed; then ``.sweep/<chunk>.json`` with their SHA-256 in the same way. Whatever was torn, altered or lost is found by its
checksum and solved again. The directory itself appears by one rename, with its metadata, coordinates and identity.
"""

import errno
import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from solver.sweep.grid import Layout
from solver.sweep.labels import Schema

if TYPE_CHECKING:
    import xarray

OWN = ".sweep"  # the directory of manifests inside the store
WHOLE = "whole.json"  # there once all chunks are
THREADS = 8  # that write files
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Store:
    """The chunks of one sweep in the directory ``path``."""

    def __init__(self, path: Path, layout: Layout, schema: Schema, dims: tuple[str, ...], identity: Mapping[str, str]):
        self.path, self.layout, self.schema, self.dims = path, layout, schema, dims
        self.identity = dict(identity)

    def open(self, resume: bool, attrs: Mapping[str, Any]) -> None:
        """Create the store, or make the one that is there ready to continue.

        :raises ValueError: as :func:`existing_block`.
        :raises OSError: if there is no space left.
        """
        part = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}")
        try:
            self._skeleton(part, attrs)
            if existing_block(self.path, self.identity, resume) is None:
                os.rename(part, self.path)
            else:
                self._repair(part)
        except OSError as error:
            raise self._explained(error) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def done(self, chunk: int) -> dict[str, Any] | None:
        """The manifest of a chunk if every file it names is there, unaltered; otherwise None."""
        manifest = _read(self._manifest(chunk))
        if not manifest or (manifest.get("chunk"), manifest.get("identity")) != (chunk, self._digest()):
            return None
        files = manifest.get("files", {})
        if set(files) != {self._file(name, chunk) for name in self.schema.variables}:
            return None
        return manifest if _unaltered(self.path, files) else None

    def write(self, chunk: int, tables: Mapping[str, np.ndarray], report: Mapping[str, Any]) -> None:
        """Write a chunk: every array's file, then the manifest that makes them count."""
        try:
            with ThreadPoolExecutor(THREADS) as pool:  # who waits for the disk does not wait for another
                files = dict(pool.map(lambda name: self._write_block(name, chunk, tables[name]), self.schema.variables))
            manifest = {"chunk": chunk, "identity": self._digest(), "files": files, **report}
            _write(self._manifest(chunk), json.dumps(manifest).encode())
        except OSError as error:
            raise self._explained(error) from error

    def _write_block(self, name: str, chunk: int, table: np.ndarray) -> tuple[str, str]:
        """A variable's file, and its checksum."""
        from numcodecs.zstd import Zstd

        cut, about = self.layout.slices(chunk), self.schema.variables[name]
        block = np.full((*self.layout.block, *about.shape), about.fill, about.dtype.newbyteorder("<"))
        here = tuple(slice(0, c.stop - c.start) for c in cut)
        block[here] = table.reshape(block[here].shape)
        raw = bytes(Zstd(level=1, checksum=True).encode(np.ascontiguousarray(block)))
        _write(self.path / self._file(name, chunk), raw)
        return self._file(name, chunk), _sha(raw)

    def finish(self, attrs: Mapping[str, Any]) -> "xarray.Dataset":
        """Record the attributes of the whole, and open it; values are read when they are used."""
        import xarray

        try:
            for part in self.path.rglob("*.part"):  # of writers that were killed
                part.unlink(missing_ok=True)
            for part in self.path.parent.glob(f".{self.path.name}.*"):
                shutil.rmtree(part, ignore_errors=True)
            root = json.loads((self.path / "zarr.json").read_bytes())
            root["attributes"] = dict(attrs)
            _write(self.path / "zarr.json", json.dumps(root, indent=1).encode())
            _write(self.path / OWN / WHOLE, json.dumps(self._whole()).encode())
        except OSError as error:
            raise self._explained(error) from error
        return xarray.open_zarr(self.path, chunks=None, consolidated=True)

    def _whole(self) -> dict[str, Any]:
        """The number of chunks, and the checksums of all files but theirs: metadata and coordinates."""
        arrays = [*self.schema.coords, *self.schema.variables]
        files = [self.path / "zarr.json", *(self.path / name / "zarr.json" for name in arrays)]
        files += [f for name in self.schema.coords for f in (self.path / name / "c").rglob("*") if f.is_file()]
        known = {str(f.relative_to(self.path)): _sha(f.read_bytes()) for f in files}
        return {"chunks": self.layout.num_chunks, "files": known}

    def _skeleton(self, part: Path, attrs: Mapping[str, Any]) -> None:
        """Metadata, coordinates and identity in a directory of their own."""
        import xarray
        import zarr
        from zarr.codecs import ZstdCodec

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that consolidated metadata and strings are extensions of the format
            xarray.Dataset(coords=self.schema.coords, attrs=attrs).to_zarr(part, zarr_format=3, consolidated=False)
            group = zarr.open_group(part, mode="r+")
            for name, about in self.schema.variables.items():
                group.create_array(
                    name,
                    shape=(*self.layout.shape, *about.shape),
                    chunks=(*self.layout.block, *(max(1, n) for n in about.shape)),
                    dtype=about.dtype,
                    fill_value=about.fill,
                    compressors=ZstdCodec(level=1, checksum=True),
                    dimension_names=(*self.dims, *about.dims),
                    attributes={key: _plain(value) for key, value in about.attrs.items()},
                )
            zarr.consolidate_metadata(part)
        (part / OWN).mkdir()
        text = {"identity": self.identity, "block": list(self.layout.block)}
        (part / OWN / "identity.json").write_text(json.dumps(text, indent=1))
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(_sync, part.rglob("*")))

    def _repair(self, part: Path) -> None:
        """Put back what was altered of the metadata and coordinates; the attributes of the whole are written at the end."""
        for file in part.rglob("*"):
            there = self.path / file.relative_to(part)
            if file.is_file() and not (there.is_file() and there.read_bytes() == file.read_bytes()):
                _write(there, file.read_bytes())

    def _file(self, name: str, chunk: int) -> str:
        own = (0,) * len(self.schema.variables[name].shape)
        return "/".join([name, "c", *map(str, (*self.layout.position(chunk), *own))])

    def _manifest(self, chunk: int) -> Path:
        return self.path / OWN / f"{chunk}.json"

    def _digest(self) -> str:
        return _sha(json.dumps(self.identity, sort_keys=True).encode())

    def _explained(self, error: OSError) -> OSError:
        full = error.errno in FULL
        why, remedy = ("no space is left", "make space") if full else (error.strerror, "mend that")
        advice = f"what was written is whole; {remedy} and call again to continue"
        return OSError(error.errno, f"store {str(self.path)!r}: {why} ({error}); {advice}")


def check_writable(path: Path) -> None:
    """Before anything is solved.

    :raises OSError: if this process may not write to ``path``, or make it.
    """
    # a store is made beside its place before it counts
    beside = next(folder for folder in path.absolute().parents if folder.exists())
    for there in filter(Path.exists, (beside, path)):
        about = f"store {str(path)!r}: {there}"
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{about} is a file; give another name")
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"{about} may not be written to; give another folder")


def finished(path: Path, identity: Mapping[str, str], resume: bool) -> "xarray.Dataset | None":
    """The Dataset of a store in which nothing is left to do, by its checksums alone: no game is traced.

    :raises ValueError: as :func:`existing_block`.
    """
    there = None if existing_block(path, identity, resume) is None else _read(path / OWN / WHOLE)
    if there is None or not _unaltered(path, there["files"]):
        return None
    for chunk in range(there["chunks"]):
        manifest = _read(path / OWN / f"{chunk}.json")
        if not manifest or not _unaltered(path, manifest.get("files", {})):
            return None
    import xarray

    return xarray.open_zarr(path, chunks=None, consolidated=True)


def existing_block(path: Path, identity: Mapping[str, str], resume: bool) -> tuple[int, ...] | None:
    """How the store at ``path`` cuts the grid, None if there is none.

    :raises ValueError: if it belongs to another sweep, saying what differs, or is there and ``resume`` is false.
    """
    if not path.exists():
        return None
    there = _read(path / OWN / "identity.json")
    if there is None:
        raise ValueError(f"store {str(path)!r} is no sweep's store: give another path, or remove it")
    if not resume:
        raise ValueError(f"store {str(path)!r} exists: resume it, give another path, or remove it")
    known = there["identity"]
    names = [name for name in {**identity, **known} if known.get(name) != identity.get(name)]
    if names:
        shown = [f"{name} was {known.get(name, 'absent')}, now {identity.get(name, 'absent')}" for name in names[:4]]
        more = f"; and {len(names) - 4} more" if len(names) > 4 else ""
        raise ValueError(
            f"store {str(path)!r} was made by another sweep: {'; '.join(shown)}{more}. Give another path, or remove it"
        )
    return tuple(there["block"])


def _unaltered(path: Path, files: Mapping[str, str]) -> bool:
    try:
        return all(_sha((path / name).read_bytes()) == sha for name, sha in files.items())
    except OSError:
        return False


def _write(path: Path, raw: bytes) -> None:
    """A whole file or none: written beside its place, synced, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
