"""``python -m minidl.knocks.nursery``: forks a process for every knock to be graded.

Everything graders need is loaded here once, and nothing runs here, so that forks are
quick and clean. Requests come as JSON lines on standard input; a fork answers on what
was standard output, and the nursery adds how it ended.
"""

import json
import os
import select
import signal
import sys
from contextlib import suppress

import numpy  # noqa: F401  (loaded for the forks)

import minidl  # noqa: F401

from . import child, compare, grader  # noqa: F401


def main() -> None:
    """Serve until standard input is closed."""
    channel = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    wake = _wake()
    while line := sys.stdin.buffer.raw.readline():
        _serve(json.loads(line), channel, nothing, wake)
        if not hasattr(os, "fork"):
            return  # what has run here may have changed anything


def _wake() -> int | None:
    """A file that can be read when a fork has ended."""
    if not hasattr(os, "fork"):
        return None
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _wait(pid, wake) -> int:
    """How a fork has ended; killed, if standard input closes: who asked has gone."""
    waiting = select.poll()
    waiting.register(0, 0)  # wakes us when it is closed
    waiting.register(wake, select.POLLIN)
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        for file, _ in waiting.poll():
            if file == wake:
                os.read(wake, 512)
            else:
                os.kill(pid, signal.SIGKILL)


def _serve(request, channel, nothing, wake) -> None:
    def say(**line):
        os.write(channel, (json.dumps(line) + "\n").encode())

    if not hasattr(os, "fork"):
        child.run(request, channel)
        say(ended=0)
        return
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(nothing, 0)
            child.run(request, channel)
            status = 0
        finally:
            os._exit(status)
    say(pid=pid)
    status = _wait(pid, wake)
    with suppress(OSError):  # what it has started ends with it
        os.killpg(pid, signal.SIGKILL)
    say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
