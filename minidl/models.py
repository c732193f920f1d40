"""Models by name: what ``minidl train NAME`` builds. Those of papers are with them."""

from . import nn, papers  # papers register their models
from .errors import unknown_name
from .zoo import MODELS, Entry, register_model  # noqa: F401


def create(name: str, shape=(1, 28, 28), classes: int = 10) -> nn.Module:
    """A freshly initialised model; an unknown name suggests the nearest ones."""
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    return MODELS[name].build(tuple(shape), classes)


@register_model("mlp", lr=3e-3)
def mlp(shape=(1, 28, 28), classes: int = 10) -> nn.Module:
    """A perceptron with one hidden layer of 128 units."""
    channels, height, width = shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


@register_model("lenet")
def lenet(shape=(1, 28, 28), classes: int = 10) -> nn.Module:
    """LeNet with 20 and 50 filters of 5x5 and 500 hidden units.

    Source: LeCun et al. 1998, see `papers.lenet`.
    """
    return papers.lenet.lenet(shape, classes)
