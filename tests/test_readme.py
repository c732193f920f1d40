"""What the README promises: its commands are there, its Python runs."""

import re
from pathlib import Path

import pytest

from minidl import autograd

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_two_commands_are_on_lines_of_their_own():
    lines = README.read_text().splitlines()
    assert "python -m pip install -e . && minidl train lenet" in lines
    assert 'python -m pip install -e ".[test]" && pytest' in lines


@pytest.fixture
def registry():
    """The registry of ops, left as it was."""
    before = dict(autograd.REGISTRY)
    yield
    autograd.REGISTRY.clear()
    autograd.REGISTRY.update(before)


@pytest.mark.process
def test_every_example_runs(registry, capsys):
    assert len(BLOCKS) == 4
    space = {}
    for block in BLOCKS:
        exec(compile(block, str(README), "exec"), space)
    out = capsys.readouterr().out
    assert "[12.0, 48.0, 108.0]" in out
    assert "Count(parameters=95642, buffers=2912, madds=16433792)" in out
    losses = [float(v) for v in re.findall(r"loss of the last batch (\S+)", out)]
    assert len(losses) == 3 and losses[-1] < 0.7
