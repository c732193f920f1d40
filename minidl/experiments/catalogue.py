"""All experiments by name."""

from ..errors import unknown_name
from . import efficient_conv
from .study import Experiment

EXPERIMENTS = {e.name: e for e in efficient_conv.EXPERIMENTS}


def find(name: str) -> Experiment:
    """The experiment of that name; an unknown name suggests the nearest ones."""
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
