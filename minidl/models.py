"""Models by name: what ``minidl train NAME`` builds. Those of papers are with them."""

from . import nn, papers  # noqa: F401  (papers register their models)
from .errors import ShapeError, unknown_name
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

    The pooling is the only nonlinearity between the convolutions.

    Source: LeCun et al. 1998, "Gradient-Based Learning Applied to Document
    Recognition"; the sizes are those of Caffe's example.
    """
    channels, *size = shape
    height, width = (((n - 4) // 2 - 4) // 2 for n in size)
    if min(height, width) < 1:
        raise ShapeError(f"lenet: images must be at least 16x16; got {tuple(size)}")
    return nn.Sequential(
        nn.Conv2d(channels, 20, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(50 * height * width, 500),
        nn.ReLU(),
        nn.Linear(500, classes),
    )
