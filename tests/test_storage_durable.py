"""Saving survives kills, interrupts and full disks; readers never see half a file."""

import errno
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from checkpoints import names, number, number_of, numbered
from minidl import files, storage
from minidl.files import atomic_write
from minidl.storage import load_latest
from minidl.errors import CheckpointError, FileError

ROOT = Path(storage.__file__).parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes")


# --- failures at every step ---------------------------------------------------------


def no_link(*args):
    raise OSError(errno.EPERM, "Operation not permitted")


class Steps:
    """Count the file system's steps and make one of them fail, before or after it."""

    def __init__(self, monkeypatch, fail_at=None, error=None, after=False):
        self.log, self.fail_at, self.error, self.after = [], fail_at, error, after
        for name in ("link", "replace", "fsync"):
            monkeypatch.setattr(os, name, self.step(name, getattr(os, name)))
        monkeypatch.setattr(files, "open", self.open, raising=False)

    def step(self, name, call):
        def stepped(*args, **options):
            at = len(self.log)
            target = "" if name != "replace" else f" {Path(args[1]).name}"
            if at == self.fail_at and not self.after:
                self.log.append(f"{name} fails")
                raise self.error
            self.log.append(name + target)
            try:
                return call(*args, **options)
            finally:
                if at == self.fail_at:
                    raise self.error

        return stepped

    def open(self, path, mode):
        with ExitStack() as stack:  # closes the file if this very step is to fail
            file = stack.enter_context(open(path, mode))
            self.step("open", lambda: None)()
            stack.pop_all()
        return File(file, self)


class File:
    """A file whose write gets half of its data out before it fails."""

    def __init__(self, file, steps):
        self.file, self.steps, self.fileno = file, steps, file.fileno

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()
        self.steps.step("close", lambda: None)()

    def write(self, data):
        half = len(data) // 2
        self.file.write(data[:half])
        self.file.flush()
        self.steps.step("write", self.file.write)(data[half:])

    def flush(self):
        self.steps.step("flush", self.file.flush)()


def test_the_order_of_steps_is_the_one_that_survives_a_power_cut(two, monkeypatch):
    steps = Steps(monkeypatch)
    numbered(two / "last.safetensors", 3)
    written = ["open", "write", "flush", "fsync", "close"]
    renamed = ["replace last.safetensors", "replace previous.safetensors", "fsync"]
    assert steps.log == [*written, "link", *renamed]


@pytest.mark.parametrize("links", [True, False])
def test_last_and_previous_as_links_to_one_file(two, monkeypatch, links):
    """What a run killed between two renames could leave must not leave litter."""
    (two / "previous.safetensors").unlink()
    os.link(two / "last.safetensors", two / "previous.safetensors")
    if not links:
        monkeypatch.setattr(os, "link", no_link)
    numbered(two / "last.safetensors", 3)
    assert number_of(two / "last.safetensors") == 3
    assert number_of(two / "previous.safetensors") == 2
    assert names(two) == ["last.safetensors", "previous.safetensors"]


def full():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize(
    ("error", "after"),
    [(full, False), (KeyboardInterrupt, False), (KeyboardInterrupt, True)],
    ids=["full", "interrupt before", "interrupt after"],
)
def test_a_failure_at_any_step_leaves_whole_checkpoints(
    tmp_path, monkeypatch, error, after, links
):
    points = 0
    while True:
        folder = tmp_path / str(points)
        last, previous = folder / "last.safetensors", folder / "previous.safetensors"
        numbered(last, 1)
        numbered(last, 2)
        old = last.read_bytes(), previous.read_bytes()
        raised = None
        with monkeypatch.context() as patch:
            if not links:
                patch.setattr(os, "link", no_link)
            steps = Steps(patch, points, error(), after)
            try:
                numbered(last, 3)
            except (CheckpointError, KeyboardInterrupt) as caught:
                raised = caught
        log = steps.log
        assert names(folder) == ["last.safetensors", "previous.safetensors"], log
        arrays, meta, path, warning = load_latest(folder)
        assert path == last and warning is None, log
        committed = "replace last.safetensors" in log
        assert number(arrays, meta) == (3 if committed else 2), log
        if not committed:
            assert (last.read_bytes(), previous.read_bytes()) == old, log
        rotated = "replace previous.safetensors" in log
        assert number_of(previous) == (2 if rotated else 1), log
        if error is KeyboardInterrupt:
            assert isinstance(raised, KeyboardInterrupt) == (len(log) > points), log
        elif raised is not None:
            start = f"checkpoint: cannot write {last}: No space left on device; "
            end = "in place" if committed else f"{last} is intact"
            assert str(raised).startswith(start) and end in str(raised), log
        else:  # nothing failed any more, or a failed link was made good by a copy
            assert committed and rotated
        if len(log) <= points:
            break
        points += 1
    assert points == (9 if links else 14)


def test_a_first_save_that_fails_leaves_nothing(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        Steps(patch, 1, full())
        with pytest.raises(CheckpointError, match="No space left on device; nothing"):
            numbered(tmp_path / "run" / "last.safetensors", 1)
    assert names(tmp_path / "run") == []


def full_disk(folder, last):
    """Save, fill the disk, save in vain, make room, save."""
    for n in (1, 2):
        numbered(last, n, size=50_000)
    old = last.read_bytes(), last.with_name("previous.safetensors").read_bytes()
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    with pytest.raises(CheckpointError) as caught:
        numbered(last, 3, size=50_000)
    assert str(caught.value) == (
        f"checkpoint: cannot write {last}: No space left on device; "
        f"{last} is intact"
    )
    assert names(folder) == ["filler", "last.safetensors", "previous.safetensors"]
    assert (last.read_bytes(), (folder / "previous.safetensors").read_bytes()) == old
    (folder / "filler").unlink()
    numbered(last, 4, size=50_000)
    assert number_of(last) == 4


@posix
def test_a_disk_that_is_really_full(tmp_path):
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"cannot mount a small disk: {error}")
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    try:
        full_disk(tmp_path, tmp_path / "last.safetensors")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=20)


LIMITED = """
import resource, sys
import numpy as np
from minidl import files, storage
from minidl.errors import CheckpointError

path = sys.argv[1]
storage.save(path, {"a": np.zeros(100)}, {"n": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    storage.save(path, {"a": np.zeros(100_000)}, {"n": 2})
except CheckpointError as error:
    print(error)
print(storage.load(path)[1]["n"])
"""


def run_child(code, *args):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@posix
def test_a_write_that_the_kernel_cuts_short(tmp_path):
    last = tmp_path / "last.safetensors"
    child = run_child(LIMITED, last)
    message = (
        f"cannot write {last}: File too large; {last} is intact"
    )
    assert child.stdout == f"checkpoint: {message}\n1\n", child.stderr
    assert names(tmp_path) == ["last.safetensors"]


# --- killed runs, leftovers and readers ---------------------------------------------

KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from minidl import files, storage

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
path, draw = folder / "last.safetensors", random.Random(5)

def save(n):
    arrays = {"a": np.full(60_000, n, np.float32), "b": np.array(n)}
    storage.save(path, arrays, {"n": n})

save(1)
highest, litter = 1, 0
for _ in range(rounds):
    child = os.fork()
    if child == 0:
        n = highest
        while True:
            n += 1
            save(n)
    time.sleep(draw.uniform(0.002, 0.06))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the child failed by itself"
    litter += any(p.name.endswith(".tmp") for p in folder.iterdir())
    arrays, meta, found, warning = storage.load_latest(folder)
    n = meta["n"]
    assert found == path and warning is None, warning
    assert (arrays["a"] == n).all() and arrays["b"] == n and n >= highest
    if n > 1:
        before, meta = storage.load(folder / "previous.safetensors")
        assert n - 2 <= meta["n"] < n and (before["a"] == meta["n"]).all(), (n, meta)
    highest = n
save(highest + 1)
print(highest, litter, sorted(p.name for p in folder.iterdir()))
"""


@posix
def test_killed_at_any_moment_the_last_checkpoint_is_whole(tmp_path):
    child = run_child(KILLED, tmp_path, 30)
    assert child.returncode == 0, child.stderr
    highest, litter, left = child.stdout.split(maxsplit=2)
    assert int(highest) > 15, "hardly a checkpoint was saved between the kills"
    assert int(litter) > 0, "no kill came in the middle of a save"
    assert left.strip() == "['last.safetensors', 'previous.safetensors']"


@posix
def test_only_abandoned_temporary_files_are_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here, tail = files._HOST, "0123456789abcdef.tmp"
    elsewhere = "00000000" if here != "00000000" else "11111111"
    stay = [
        f".minidl-{here}-{os.getpid()}-{tail}",
        f".minidl-{here}-{os.getppid()}-{tail}",
        f".minidl-{here}-1-{tail}",
        f".minidl-{elsewhere}-{ended.pid}-{tail}",
        f".minidl-{here}-{ended.pid}-{tail}.bak",
        f"minidl-{here}-{ended.pid}-{tail}",
        "notes.tmp",
        ".tmp",
    ]
    old = f".minidl-{elsewhere}-7-{tail}"
    go = [f".minidl-{here}-{ended.pid}-{tail}", old]
    for name in stay + go:
        (tmp_path / name).write_text("x")
    for name in ("notes.tmp", old):
        os.utime(tmp_path / name, times=(time.time() - 90_000,) * 2)
    numbered(tmp_path / "last.safetensors", 1)
    assert names(tmp_path) == sorted([*stay, "last.safetensors"])


def test_readers_see_the_old_or_the_new_checkpoint(tmp_path):
    numbered(tmp_path / "last.safetensors", 1, size=20_000)
    seen, problems, done = [], [], threading.Event()

    def read():
        while not done.is_set():
            try:
                arrays, meta, _, warning = load_latest(tmp_path)
                seen.append(number(arrays, meta))
                assert warning is None and seen == sorted(seen), warning
            except (AssertionError, CheckpointError) as error:
                problems.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(2, 80):
        numbered(tmp_path / "last.safetensors", n, size=20_000)
    done.set()
    reader.join()
    assert not problems and len(set(seen)) > 3


def test_atomic_write_failing_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    for at in range(6):  # open, write, flush, fsync, close, replace
        atomic_write(path, "old")
        with monkeypatch.context() as patch:
            steps = Steps(patch, at, full())
            with pytest.raises(FileError, match="No space left .*nothing"):
                atomic_write(path, "new text")
        assert path.read_text() == "old" and names(tmp_path) == ["history.csv"]
    assert steps.log[-1] == "replace fails"


def test_a_file_system_that_cannot_sync_folders_is_no_failure(tmp_path, monkeypatch):
    real = os.fsync

    def fsync(file):
        if os.path.isdir(f"/proc/self/fd/{file}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    numbered(tmp_path / "last.safetensors", 1)
    assert number_of(tmp_path / "last.safetensors") == 1
