"""Download a named data set from its official address: resumable, checked, atomic."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import ArgumentError, DataError
from ..files import rename
from . import registry

ATTEMPTS = 5  # per mirror, while each brings some bytes
BLOCK = 1 << 18  # bytes read at a time

Progress = Callable[[str, int, int | None], None]


class _Interrupted(Exception):
    """The network failed; what has arrived so far is in the .part file."""


def fetch(
    name: str,
    folder: str | os.PathLike | None = None,
    progress: Progress | None = None,
    base: str | None = None,
    timeout: float = 20.0,
) -> Path:
    """Download the files of ``name`` and return the folder they are in.

    What is there already is not downloaded again; an interrupted download goes on from
    its ``.part`` file at the next call.

    Args: folder defaults to ``NAME`` in the download cache, where `load` looks;
    progress is called as ``progress(file, bytes_so_far, bytes_in_all_or_None)``; base
    replaces the official address; timeout is in seconds of silence.
    Raises: UnknownNameError; ArgumentError for a set that needs no download; DataError
    when the network, the disk or a checksum fails.
    """
    row = registry.find(name)
    if not row.files:
        raise ArgumentError(
            f"fetch: name must be a set that is downloaded; got {name!r}, which is "
            "part of the package"
        )
    folder = registry.cache_folder() / name if folder is None else Path(folder)
    folder = folder.expanduser()
    if row.members and _unpacked(row.members, folder):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, md5 in row.files.items():
            target = folder / file
            if not (target.is_file() and _md5(target) == md5):
                mirrors = row.mirrors if base is None else (base,)
                _download(target, mirrors, md5, progress, timeout)
            if row.members:
                _unpack(target, row.members, folder)
                target.unlink()
    except OSError as error:
        # Network errors were turned into _Interrupted; what is left is the disk.
        raise DataError(
            f"fetch: folder must be writable and have room for {name}; got {folder} "
            f"({error})"
        ) from error
    return folder


def _download(target, mirrors, md5, progress, timeout):
    part = target.with_name(target.name + ".part")
    problems = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{target.name}"
        for _ in range(ATTEMPTS):
            before = _size(part)
            try:
                _transfer(url, part, md5, progress, timeout)
            except _Interrupted as error:
                problems.append(f"{url}: {error}")
                if _size(part) in (0, before):  # nothing came: no use asking again
                    break
            else:
                return _accept(part, target, md5, url)
    raise DataError(
        f"fetch: {target.name} must be downloadable; got {'; '.join(problems)}; run it "
        f"again to go on, or put the file into {target.parent} yourself"
    )


def _transfer(url, part, md5, progress, timeout):
    """Append what ``part`` lacks; start over where the server cannot resume."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    offset = _size(part)
    if offset and _md5(part) == md5:  # whole already: only the renaming was missing
        return
    headers = {"User-Agent": "minidl"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        response = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        error.close()
        if error.code == 416 and offset:  # our part is no beginning of their file
            part.unlink()
            return _transfer(url, part, md5, progress, timeout)
        raise _Interrupted(f"HTTP {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise _Interrupted(getattr(error, "reason", None) or error) from error
    with response:
        start = f"bytes {offset}-"
        resumed = offset and response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(start):
            part.unlink()
            raise _Interrupted("the server answered with another range")
        done = offset if resumed else 0
        length = getattr(response, "length", None)  # None: not announced
        total = None if length is None else done + length
        with open(part, "ab" if resumed else "wb") as out:
            while block := _next_block(response, HTTPException):
                out.write(block)
                done += len(block)
                if progress is not None:
                    progress(part.name.removesuffix(".part"), done, total)
            out.flush()
            os.fsync(out.fileno())
    if total is not None and done < total:
        raise _Interrupted(f"connection closed after {done} of {total} bytes")


def _next_block(response, http_error):
    try:
        return response.read(BLOCK)
    except (OSError, http_error) as error:
        raise _Interrupted(error) from error


def _accept(part, target, md5, url):
    got = _md5(part)
    if got != md5:
        size = _size(part)
        part.unlink()
        raise DataError(
            f"fetch: {target.name} must have the MD5 checksum {md5}; got {got} "
            f"({size} bytes from {url}); the download was removed"
        )
    rename(part, target)


def _unpacked(members, folder):
    return all(_size(folder / Path(m).name) == size for m, size in members.items())


def _unpack(archive, members, folder):
    """Take the expected regular files out of a tar archive, and nothing else.

    Every file goes to a name of ours, so no path from the archive is ever followed.
    """
    import gzip
    import tarfile
    import zlib

    try:
        with tarfile.open(archive, "r:gz") as tar:
            left = dict(members)
            for entry in tar:
                size = left.get(entry.name)
                if size is None or not entry.isreg() or entry.size != size:
                    continue
                target = folder / Path(entry.name).name
                part = target.with_name(target.name + ".part")
                with tar.extractfile(entry) as source, open(part, "wb") as out:
                    while block := source.read(BLOCK):
                        out.write(block)
                    out.flush()
                    os.fsync(out.fileno())
                rename(part, target)
                del left[entry.name]
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"fetch: {archive} must be a whole .tar.gz archive; got a damaged one "
            f"({error})"
        ) from error
    if left:
        raise DataError(f"fetch: {archive} must hold {', '.join(left)}; got none")


def _size(path):
    return path.stat().st_size if path.is_file() else 0


def _md5(path):
    with open(path, "rb") as file:
        # A checksum against accidents, published by the authors; not a signature.
        return hashlib.file_digest(file, _new_md5).hexdigest()


def _new_md5():
    return hashlib.md5(usedforsecurity=False)
