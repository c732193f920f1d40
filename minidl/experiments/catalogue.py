"""All experiments by name."""

from ..errors import unknown_name
from . import (
    dynamic_conv,
    efficient_conv,
    fastfood,
    pruning,
    regularisation,
    skipping,
)
from .measurement import Measurement
from .study import Experiment

EXPERIMENTS: dict[str, Experiment | Measurement] = {
    e.name: e
    for family in (
        efficient_conv,
        fastfood,
        dynamic_conv,
        skipping,
        pruning,
        regularisation,
    )
    for e in family.EXPERIMENTS
}


def find(name: str) -> Experiment | Measurement:
    """The experiment of that name; an unknown name suggests the nearest ones."""
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
