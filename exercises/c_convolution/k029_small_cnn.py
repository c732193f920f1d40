"""k029: A small convnet, trained

*** | 40 minutes | after k015, k019, k025, k027

Everything is there: now put it together, and images of clothes get their names.

    x --conv 3x3 + shift--> h --ReLU--> a --max pool--> f --flatten, linear--> logits
    (N, C, H, W)         (N, O, H, W)         (N, O, H//2, W//2)            (N, classes)

Forward keeps what backward will need. Backward walks the same way from right to left;
every layer turns the gradient of its output into that of its input, and on passing by
into that of its parameters:

    gweight = f^T g     gbias = g over all images, added up     gf = g weight^T
    gh      = (gf through the pool) where h > 0, else 0
    gkernel = from conv2d_backward     gshift[o] = all gh of filter o, added up

Training repeats: take a few images, forward, the gradient of the mean cross-entropy by
the logits, backward, one step of SGD with momentum. Every epoch sees all images once,
in a new random order. 512 images of 14 x 14 pixels and eight filters are enough for
about three right answers in four on images it has never seen; chance would be 1 in 10.

See it learn: python -m exercises.c_convolution.k029_small_cnn

Shapes: params is a dict of kernel (O, C, 3, 3), shift (O,), bias (classes,) and weight
(O * P * Q, classes) with P = H // 2, Q = W // 2; x (N, C, H, W); labels (N,), whole
numbers. H and W may be odd: the pool drops a last row or column. x, g and params are
floats of one dtype, which everything that comes back has, too.
Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998;
the images are of Xiao et al., "Fashion-MNIST", 2017.
Checked: forward and gradients on tiny images, against loops and small steps; training
steps against the same steps made by another program; at last, real images: the loss on
new ones must come down as far as that of a reference trained beside it.
"""

import numpy as np

from minidl import data
from solutions.b_tensors.k015_cross_entropy import cross_entropy_backward
from solutions.b_tensors.k019_optimizers import sgd
from solutions.c_convolution.k025_stride_pad_dilation import conv2d, conv2d_backward
from solutions.c_convolution.k027_pooling import max_pool2d, max_pool2d_backward


def forward(params, x):
    """(logits, kept), a pair: kept is all that `backward` will need, as you like it.

    The convolution has stride 1 and padding 1, the pool windows of 2 x 2; the rows of
    weight belong to the channels, rows and columns of f, in this order.

    Shapes: x (N, C, H, W), logits (N, classes).
    """
    raise NotImplementedError("k029: write forward")


def backward(g, params, kept):
    """The gradients by all parameters, a new dict with the names of params.

    Shapes: g (N, classes), the gradient by the logits; kept as it came from `forward`.
    """
    raise NotImplementedError("k029: write backward")


def train(params, x, labels, epochs, batch, lr, momentum, seed):
    """The parameters after training; params and its arrays are left as they were.

    rng = np.random.default_rng(seed) is made once. Each epoch goes through the images
    in the order rng.permutation(len(x)), drawn anew, batch by batch; the last batch may
    be smaller. Each batch makes one step of `sgd` down the gradient of its mean
    cross-entropy. The velocities start at 0.
    """
    raise NotImplementedError("k029: write train")


def init(shape, filters, classes, rng):
    """Random parameters for images of shape (C, H, W): outputs are about 1 in size."""
    c, height, width = shape
    features = filters * (height // 2) * (width // 2)
    kernel = rng.standard_normal((filters, c, 3, 3)) * (2 / (9 * c)) ** 0.5
    weight = rng.standard_normal((features, classes)) / features**0.5
    params = {
        "kernel": kernel,
        "shift": np.zeros(filters),
        "weight": weight,
        "bias": np.zeros(classes),
    }
    return {name: p.astype(np.float32) for name, p in params.items()}


def clothes():
    """Images, halved to 14 x 14 pixels of mean 0 and variance 1, and their labels.

    512 to train on, 256 to test with: x, labels, x_test, labels_test.
    """
    found = data.load()
    x = np.concatenate([found.x_train[:512], found.x_test[:256]])
    x = x.reshape(-1, 1, 14, 2, 14, 2).mean(axis=(3, 5))
    x = ((x - x.mean()) / x.std()).astype(np.float32)
    return x[:512], found.y_train[:512], x[512:], found.y_test[:256]


if __name__ == "__main__":
    x, labels, x_test, labels_test = clothes()
    params = init((1, 14, 14), 8, 10, np.random.default_rng(0))
    for epoch in range(8):
        params = train(params, x, labels, 1, 32, 0.02, 0.9, epoch)
        right = forward(params, x_test)[0].argmax(axis=1) == labels_test
        print(f"epoch {epoch + 1}: {right.mean():.0%} of the test images are right")
