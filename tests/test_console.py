"""What a person sees while a model is trained, on a terminal 80 columns wide."""

import io
import re

import numpy as np

from minidl import data
from minidl.console import Progress
from minidl.train import Config, Trainer


def images():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 1, 8, 8), np.uint8), np.arange(40) % 3
    return data.Dataset("noise", x, y, x, y, ["a", "b", "c"])


def shown(name, terminal):
    """All that was printed, line by line, without what moves the cursor."""
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=80)
    trainer = Trainer(Config(model=name, epochs=3, batch=8), images())
    with Progress(console, trainer) as progress:
        trainer.fit(None, progress.on_batch, progress.on_epoch)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    return re.split(r"[\r\n]+", plain)


def test_a_status_stands_below_the_bar():
    lines = shown("blockdrop", True)
    assert max(map(len, lines)) <= 80
    bars = [line for line in lines if "images/s" in line]
    assert bars and all("acc" in line and "stage" not in line for line in bars)
    assert "  pretraining" in lines
    assert any(re.match(r"  curriculum, the last 6 may be dropped", x) for x in lines)
    assert any(re.match(r"  finetuning, \d\.\d of 6 blocks run", x) for x in lines)


def test_without_a_terminal_there_is_a_line_for_each_epoch():
    lines = [line for line in shown("blockdrop", False) if line]
    assert [line.split()[0] for line in lines] == [
        *("epoch", "pretraining"),
        *("epoch", "curriculum,"),
        *("epoch", "finetuning,"),
    ]


def test_layers_without_a_status_take_no_line():
    assert not any(line.startswith("  ") for line in shown("mlp", True) if line.strip())
