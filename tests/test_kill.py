"""kill -9 at random moments of a real run: each resume is bit-identical to no kill.

`MINIDL_KILLS` sets how many kills (default 4).
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from minidl import storage

pytestmark = pytest.mark.process

EPOCHS = "30"
CODE = """
import sys
from minidl import data
from minidl.train import Config, Trainer
full = data.load()
images = data.Dataset("small", full.x_train[:600], full.y_train[:600],
                      full.x_test[:100], full.y_test[:100], full.classes)
folder, resume = sys.argv[1], sys.argv[2] == "resume"
run = (Trainer.resume(folder, images)[0] if resume
       else Trainer(Config("mlp", epochs={epochs}, seed=5), images))
print("ready", flush=True)
run.fit(folder)
"""


def start(folder, how):
    return subprocess.Popen(
        [sys.executable, "-c", CODE.format(epochs=EPOCHS), str(folder), how],
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process):
    with process:
        assert process.stdout.read().strip() == "ready"
    assert process.returncode == 0


def results(folder):
    arrays, meta = storage.load(folder / storage.LAST)
    rows = [
        {k: v for k, v in row.items() if k != "images_per_second"}
        for row in meta["history"]
    ]
    weights = {k: v.tobytes() for k, v in arrays.items() if k.startswith("model.")}
    return arrays["losses"].tobytes(), rows, weights


def test_killed_runs_resume_bit_for_bit(tmp_path):
    began = time.monotonic()
    finish(start(tmp_path / "unbroken", "new"))
    whole = time.monotonic() - began
    expected = results(tmp_path / "unbroken")
    assert len(expected[1]) == int(EPOCHS)

    kills, moments = int(os.environ.get("MINIDL_KILLS", 4)), random.Random(1)
    landed, run = 0, 0
    while landed < kills:
        run += 1
        folder, how = tmp_path / f"run{run}", "new"
        for _ in range(5):  # up to five kills in one run, then it may finish
            process = start(folder, how)
            with process:
                assert process.stdout.readline() == "ready\n"
                time.sleep(moments.uniform(0, whole / 3))
                process.send_signal(signal.SIGKILL)
            landed += process.returncode == -signal.SIGKILL
            if (folder / storage.LAST).exists():  # else killed before its first save
                _, meta, path, warning = storage.load_latest(folder)
                assert warning is None and path.name == storage.LAST
                how = "resume"
            if landed >= kills:
                break
        finish(start(folder, how))
        assert results(folder) == expected, f"run {run} differs after its kills"
    print(f"{landed} kills in {run} runs, all resumed bit for bit")
