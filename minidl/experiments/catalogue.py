"""All experiments by name."""

from ..errors import unknown_name
from . import efficient_conv, fastfood
from .measurement import Measurement
from .study import Experiment

EXPERIMENTS: dict[str, Experiment | Measurement] = {
    e.name: e for e in efficient_conv.EXPERIMENTS + fastfood.EXPERIMENTS
}


def find(name: str) -> Experiment | Measurement:
    """The experiment of that name; an unknown name suggests the nearest ones."""
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
