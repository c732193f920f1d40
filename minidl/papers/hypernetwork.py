"""HyperNetworks: one small net writes the kernels of a large one.

Ha, Dai, Le, "HyperNetworks", ICLR 2017, arXiv 1609.09106, section 3.1 (static).

Every layer has an embedding z of a few numbers. Two linear layers, shared by all layers
of the net, make its kernel of it, one slice for each input channel i:

    a_i = W_i z + B_i                i = 1 .. N_in        W_i (d, N_z), B_i (d,)
    K_i = W_out a_i + B_out          (N_out f f,)         W_out (N_out f f, d)

    kernel = K_1 ... K_N_in          (N_out, N_in, f, f)

A larger kernel is laid out in tiles of that size, each with an embedding of its own:

    32 x 64 channels from 16 x 16:   2 x 4 tiles, 8 embeddings

    parameters  d (N_z + 1) N_in + f^2 N_out (d + 1), and N_z for each tile

Both layers are linear, so the kernels of all z are N_z directions and an offset: they
span N_z + 1 dimensions. The net is trained as usual; the gradient of a kernel goes on
to z and to the generator.

Shapes: z (tiles, N_z), kernel (out, in, f, f).

Deviations: none. Weights start so that kernels have He's variance: of W_out's usual
ones they would be far too large.
"""

import math

from .. import functional as F
from .. import nn
from ..errors import ArgumentError, ShapeError
from ..nn import init
from ..nn._arguments import whole
from ..nn.linear import empty
from ..tensor import Tensor
from ..zoo import register_model


class KernelGenerator(nn.Module):
    """Two linear layers from embeddings to basic kernels, shared by a net's layers.

    Shapes: z (tiles, z_dim); kernels (tiles, out_channels, in_channels, f, f).
    Args: hidden: d, by default z_dim.
    Raises: ArgumentError unless all sizes are >= 1; ShapeError for another z.
    Source: Ha et al. 2017, equation 2.
    """

    def __init__(
        self,
        in_channels: int = 16,
        out_channels: int = 16,
        kernel_size: int = 3,
        z_dim: int = 64,
        hidden: int | None = None,
    ):
        super().__init__()
        where = "KernelGenerator"
        self.in_channels = whole(where, "in_channels", in_channels)
        self.out_channels = whole(where, "out_channels", out_channels)
        self.kernel_size = whole(where, "kernel_size", kernel_size)
        self.z_dim = whole(where, "z_dim", z_dim)
        d = whole(where, "hidden", z_dim if hidden is None else hidden)
        outputs = out_channels * kernel_size**2
        fan = in_channels * kernel_size**2
        self.weight = init.normal_(empty(in_channels, d, z_dim), 0, z_dim**-0.5)
        self.offset = init.zeros_(empty(in_channels, d))
        self.weight_out = init.normal_(empty(outputs, d), 0, math.sqrt(2 / fan / d))
        self.offset_out = init.zeros_(empty(outputs))

    def forward(self, z: Tensor) -> Tensor:
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ShapeError(
                f"KernelGenerator: z must be (tiles, {self.z_dim}); got "
                f"{tuple(z.shape)}"
            )
        a = F.einsum("tz,idz->tid", z, self.weight) + self.offset
        k = F.linear(a, self.weight_out, self.offset_out)  # (tiles, in, out f f)
        sizes = self.out_channels, self.kernel_size, self.kernel_size
        return k.reshape(z.shape[0], self.in_channels, *sizes).transpose(1, 2)

    def extra_repr(self):
        return f"{self.in_channels}, {self.out_channels}, {self.kernel_size}"


class HyperConv2d(nn.Module):
    """A convolution whose kernel a generator writes, from embeddings that are trained.

    Shapes: x (N, in_channels, H, W), y (N, out_channels, oh, ow).
    Args: generator: whose channels divide the layer's; all layers may share one.
    Raises: ArgumentError.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        generator: KernelGenerator,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ):
        super().__init__()
        whole("HyperConv2d", "in_channels", in_channels)
        whole("HyperConv2d", "out_channels", out_channels)
        if in_channels % generator.in_channels or out_channels % generator.out_channels:
            raise ArgumentError(
                f"HyperConv2d: channels {in_channels} and {out_channels} must be "
                f"multiples of the generator's {generator.in_channels} and "
                f"{generator.out_channels}"
            )
        self.rows = out_channels // generator.out_channels
        self.columns = in_channels // generator.in_channels
        self.generator, self.stride, self.padding = generator, stride, padding
        self.z = init.normal_(empty(self.rows * self.columns, generator.z_dim))
        self.bias = init.zeros_(empty(out_channels)) if bias else None

    def kernel(self) -> Tensor:
        """The kernel as it is now: (out_channels, in_channels, f, f)."""
        tiles = self.generator(self.z)
        _, out, inputs, f, _ = tiles.shape
        tiles = tiles.reshape(self.rows, self.columns, out, inputs, f, f)
        tiles = tiles.transpose(1, 2)  # (rows, out, columns, in, f, f)
        return tiles.reshape(self.rows * out, self.columns * inputs, f, f)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel(), self.bias, self.stride, self.padding)

    def extra_repr(self):
        return f"{self.rows} x {self.columns} tiles"


def generator_parameters(
    in_channels: int, out_channels: int, kernel_size: int, z_dim: int, hidden: int
) -> int:
    """``d (N_z + 1) N_in + f^2 N_out (d + 1)``; embeddings come on top."""
    first = hidden * (z_dim + 1) * in_channels
    return first + kernel_size**2 * out_channels * (hidden + 1)


def wide_resnet_tiles(depth: int = 40, width: int = 1, basic: int = 16) -> int:
    """Basic kernels in the 3x3 convolutions of a wide ResNet's three stages.

    Raises: ArgumentError unless depth = 6 n + 4.
    """
    blocks, rest = divmod(whole("wide_resnet_tiles", "depth", depth, 10) - 4, 6)
    if rest:
        raise ArgumentError(f"wide_resnet_tiles: depth must be 6 n + 4; got {depth}")
    total, channels = 0, basic
    for stage in range(3):
        out = (basic * width) << stage
        first, other = channels * out // basic**2, (out // basic) ** 2
        total += first + (2 * blocks - 1) * other
        channels = out
    return total


@register_model("hypernet")
def hypernet(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """Two 7x7 convolutions of 16 channels, the second written from 4 numbers."""
    height, width = (n // 2 // 2 for n in shape[1:])
    if min(height, width) < 1:
        raise ShapeError(
            f"hypernet: images must be at least 4x4; got {tuple(shape[1:])}"
        )
    generator = KernelGenerator(16, 16, 7, z_dim=4)
    return nn.Sequential(
        nn.Conv2d(shape[0], 16, 7, padding=3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        HyperConv2d(16, 16, generator, padding=3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * height * width, classes),
    )
