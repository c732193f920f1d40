"""``python -m minidl.knocks.nursery``: forks a process for every knock to be graded.

Everything graders need is loaded here once, and nothing runs here, so that forks are
quick and clean. Requests come as JSON lines on standard input; a fork answers on what
was standard output, and the nursery adds how it ended.
"""

import json
import os
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
    while line := sys.stdin.buffer.raw.readline():
        _serve(json.loads(line), channel, nothing)
        if not hasattr(os, "fork"):
            return  # what has run here may have changed anything


def _serve(request, channel, nothing) -> None:
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
            os.dup2(nothing, 0)
            child.run(request, channel)
            status = 0
        finally:
            os._exit(status)
    say(pid=pid)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):  # what it has started ends with it
        os.killpg(pid, signal.SIGKILL)
    say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
