"""Downloads, against a server on this machine that misbehaves on demand."""

import hashlib
import http.server
import io
import os
import tarfile
import threading

import pytest

from minidl.data import fetch, registry
from minidl.errors import ArgumentError, DataError, UnknownNameError

BODY = bytes(range(256)) * 8000  # 2 MB: several reads


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``; ``server.plan`` tells what goes wrong when."""

    def do_GET(self):
        wanted = self.headers.get("Range")
        name = self.path.rpartition("/")[2]
        plan = self.server.plan.pop(0) if self.server.plan else "whole"
        self.server.log.append((name, wanted, plan))
        if name not in self.server.files or plan == "404":
            self.send_error(404)
            return
        body = self.server.files[name]
        start = 0
        if wanted and plan != "ignore range":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            shown = start + (plan == "other range")
            span = f"bytes {shown}-{len(body) - 1}/{len(body)}"
            self.send_header("Content-Range", span)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = len(body)
        if plan == "cut":
            end = start + (len(body) - start) // 2
        if plan != "nothing":
            self.wfile.write(body[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.plan, server.log = {}, [], []
        server.url = f"http://127.0.0.1:{server.server_port}/data"
        # A short poll: shutdown() waits for the next one.
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def source(monkeypatch, server):
    """A data set of one file, ``one``, and its row in the registry."""
    row = registry.Source(
        "toy", "idx", (1, 28, 28), ["0"], 1, 1, "none",
        files={"one": hashlib.md5(BODY).hexdigest()},
    )  # fmt: skip
    monkeypatch.setitem(registry.SOURCES, "toy", row)
    server.files["one"] = BODY
    return row


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_whole_file_then_no_second_download(server, source, tmp_path):
    calls = []
    got = fetch("toy", tmp_path / "a/b", lambda *c: calls.append(c), server.url)
    assert got == tmp_path / "a/b"
    assert (got / "one").read_bytes() == BODY
    assert names(got) == ["one"]
    assert calls[-1] == ("one", len(BODY), len(BODY))
    assert [c[1] for c in calls] == sorted({c[1] for c in calls})
    assert len(calls) > 2
    fetch("toy", got, base=server.url)
    assert len(server.log) == 1
    (got / "one").write_bytes(BODY[:-1])  # damaged since: fetched anew
    fetch("toy", got, base=server.url)
    assert (got / "one").read_bytes() == BODY


def test_default_folder_is_where_load_looks(server, source, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetch("toy", base=server.url) == tmp_path / "minidl/toy"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # counts as unset
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert registry.cache_folder() == tmp_path / "home/.cache/minidl"


def test_cut_connection_is_resumed_in_the_same_call(server, source, tmp_path):
    server.plan = ["cut", "cut", "whole"]
    fetch("toy", tmp_path, base=server.url)
    assert (tmp_path / "one").read_bytes() == BODY
    half, rest = len(BODY) // 2, len(BODY) - len(BODY) // 2
    starts = [None, f"bytes={half}-", f"bytes={half + rest // 2}-"]
    assert [wanted for _, wanted, _ in server.log] == starts


def test_a_later_call_resumes(server, source, tmp_path):
    server.plan = ["cut", "nothing"]
    with pytest.raises(DataError, match=r"closed after 1024000 of 2048000 bytes"):
        fetch("toy", tmp_path, base=server.url)
    assert names(tmp_path) == ["one.part"]
    assert (tmp_path / "one.part").read_bytes() == BODY[: len(BODY) // 2]
    calls = []
    fetch("toy", tmp_path, lambda *c: calls.append(c), server.url)
    assert calls[0][1] > len(BODY) // 2  # progress counts what was there
    assert calls[-1][1:] == (len(BODY), len(BODY))
    assert (tmp_path / "one").read_bytes() == BODY


def test_a_server_that_always_cuts_does_not_hold_us(server, source, tmp_path):
    server.plan = ["cut"] * 50
    with pytest.raises(DataError, match="closed after"):
        fetch("toy", tmp_path, base=server.url)
    assert len(server.log) == 5


@pytest.mark.parametrize("plan", ["ignore range", "other range"])
def test_range_not_honoured_starts_over(server, source, tmp_path, plan):
    (tmp_path / "one.part").write_bytes(b"x" * 1000)  # not even the right beginning
    server.plan = [plan]
    if plan == "other range":  # nothing came, so this call ends; the next one is clean
        with pytest.raises(DataError, match="another range"):
            fetch("toy", tmp_path, base=server.url)
    fetch("toy", tmp_path, base=server.url)
    assert (tmp_path / "one").read_bytes() == BODY
    assert server.log[0][1] == "bytes=1000-"


def test_range_beyond_the_end_starts_over(server, source, tmp_path):
    (tmp_path / "one.part").write_bytes(BODY + b"more")
    fetch("toy", tmp_path, base=server.url)
    assert (tmp_path / "one").read_bytes() == BODY
    assert [wanted for _, wanted, _ in server.log] == ["bytes=2048004-", None]


def test_whole_part_needs_no_network(server, source, tmp_path):
    (tmp_path / "one.part").write_bytes(BODY)
    fetch("toy", tmp_path, base=server.url)
    assert names(tmp_path) == ["one"]
    assert server.log == []


def test_wrong_checksum_removes_the_part(server, source, tmp_path):
    server.files["one"] = BODY[:-1] + b"!"
    (tmp_path / "one").write_bytes(b"the old file")
    with pytest.raises(DataError) as caught:
        fetch("toy", tmp_path, base=server.url)
    assert source.files["one"] in str(caught.value)
    assert hashlib.md5(server.files["one"]).hexdigest() in str(caught.value)
    assert "one must have the MD5 checksum" in str(caught.value)
    assert names(tmp_path) == ["one"]
    assert (tmp_path / "one").read_bytes() == b"the old file"


def test_not_found_tries_the_next_mirror(server, source, monkeypatch, tmp_path):
    server.plan = ["404"]
    with pytest.raises(DataError, match=r"/data/one: HTTP 404 Not Found; run it again"):
        fetch("toy", tmp_path, base=server.url)
    assert len(server.log) == 1
    assert names(tmp_path) == []
    mirrors = (f"{server.url}/first/", f"{server.url}/second/")
    monkeypatch.setitem(vars(source), "mirrors", mirrors)
    server.plan = ["404"]
    fetch("toy", tmp_path)
    assert (tmp_path / "one").read_bytes() == BODY


def test_no_network(source, monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DataError, match=r"127.0.0.1:1/one: .*refused"):
        fetch("toy", tmp_path, base="http://127.0.0.1:1/")
    with pytest.raises(DataError, match="no host given|unknown url type"):
        fetch("toy", tmp_path, base="nonsense")


def test_silent_server_times_out(source, monkeypatch, tmp_path):
    import socket

    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DataError, match="timed out"):
            fetch("toy", tmp_path, base=base, timeout=0.1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_disk(server, source, tmp_path):
    (tmp_path / "one.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"have room for toy; .*No space left"):
        fetch("toy", tmp_path, base=server.url)
    assert len(server.log) == 1  # a full disk is no reason to ask the server again


def test_folder_that_cannot_be_made(server, source, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="folder must be writable"):
        fetch("toy", tmp_path / "file/sub", base=server.url)
    assert server.log == []


def test_interruption_by_the_user_keeps_the_part(server, source, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("toy", tmp_path, stop, server.url)
    assert names(tmp_path) == ["one.part"]
    fetch("toy", tmp_path, base=server.url)
    assert (tmp_path / "one").read_bytes() == BODY


def test_names():
    with pytest.raises(UnknownNameError, match="did you mean cifar10"):
        fetch("cifar-10")
    with pytest.raises(ArgumentError, match="'fashion-mnist-mini', which is part of"):
        fetch("fashion-mnist-mini")


# Archives


def archive(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type, entry.linkname = tarfile.SYMTYPE, "a.bin"
                entry.size = 4  # a link that pretends to have content
            else:
                entry.size = len(content)
            tar.addfile(entry, None if content is None else io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def packed(monkeypatch, server):
    """A data set of two members in one archive, set up by calling the fixture."""

    def serve(data):
        row = registry.Source(
            "toy", "cifar10", (3, 32, 32), ["0"], 1, 1, "none",
            files={"toy.tar.gz": hashlib.md5(data).hexdigest()},
            members={"toy/a.bin": 3, "toy/b.bin": 4},
        )  # fmt: skip
        monkeypatch.setitem(registry.SOURCES, "toy", row)
        server.files["toy.tar.gz"] = data

    return serve


def test_archive_gives_its_members_and_nothing_else(server, packed, tmp_path):
    others = [("../evil", b"evil"), ("/abs", b"x"), ("toy/readme", b"r")]
    packed(archive(*others, ("toy/a.bin", b"aaa"), ("toy/b.bin", b"bbbb")))
    folder = tmp_path / "in"
    fetch("toy", folder, base=server.url)
    assert names(folder) == ["a.bin", "b.bin"]
    assert names(tmp_path) == ["in"]
    assert (folder / "b.bin").read_bytes() == b"bbbb"
    fetch("toy", folder, base=server.url)
    assert len(server.log) == 1


@pytest.mark.parametrize(
    "second", [[], [("toy/b.bin", None)], [("toy/b.bin", b"bb")], [("b.bin", b"bbbb")]]
)
def test_archive_that_lacks_a_member(server, packed, tmp_path, second):
    packed(archive(("toy/a.bin", b"aaa"), *second))
    with pytest.raises(DataError, match=r"toy.tar.gz must hold toy/b.bin; got none"):
        fetch("toy", tmp_path, base=server.url)
    assert not (tmp_path / "b.bin").exists()


def test_damaged_archive(server, packed, tmp_path):
    whole = archive(("toy/a.bin", b"aaa"), ("toy/b.bin", b"bbbb"))
    for data in (b"no archive", whole[:40], whole[:60] + b"\0" + whole[61:]):
        packed(data)
        with pytest.raises(DataError, match="toy.tar.gz must"):
            fetch("toy", tmp_path, base=server.url)
