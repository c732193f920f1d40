"""LeNet: two convolutions, each pooled, and a perceptron behind them.

LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document
Recognition", Proceedings of the IEEE 86, 1998.

    x -- conv 5x5, 20 -- pool 2x2 -- conv 5x5, 50 -- pool 2x2 -- 500 -- ReLU -- classes

    1x28x28     20x24x24   20x12x12     50x8x8        50x4x4 = 800

    weights     500  +     25,000  +    400,000  +    5,000   =  430,500
    biases       20  +         50  +        500  +       10   =      580

Shapes: x (N, C, H, W), y (N, classes).

Deviations: the sizes are those of Caffe's example, which later papers mean by LeNet.
The pooling is the only nonlinearity between the convolutions, as there.
"""

from .. import nn
from ..errors import ShapeError


def features(shape, where: str = "lenet") -> tuple[list[nn.Module], int]:
    """The layers up to the flat features of images ``shape``, and how many these are.

    Raises: ShapeError for images (C, H, W) smaller than 16x16; ``where`` names them.
    """
    channels, *size = shape
    height, width = (((n - 4) // 2 - 4) // 2 for n in size)
    if min(height, width) < 1:
        raise ShapeError(f"{where}: images must be at least 16x16; got {tuple(size)}")
    layers = [
        nn.Conv2d(channels, 20, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
    ]
    return layers, 50 * height * width


def lenet(shape=(1, 28, 28), classes: int = 10, where: str = "lenet") -> nn.Sequential:
    """LeNet for images (C, H, W).

    Raises: ShapeError for images smaller than 16x16.
    """
    layers, count = features(shape, where)
    perceptron = nn.Linear(count, 500), nn.ReLU(), nn.Linear(500, classes)
    return nn.Sequential(*layers, *perceptron)
