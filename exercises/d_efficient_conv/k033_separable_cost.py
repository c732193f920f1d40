"""k033: What a separable convolution costs

** | 25 minutes | after k030, k031, k032

A convolution does two things at once: it looks around in the image, and it mixes the
channels. A separable convolution does one after the other:

    x (C, H, W) -- depthwise k x k, stride --> (C, oh, ow) -- pointwise --> (O, oh, ow)

Count what it takes. A weight is one number of a kernel; there are no biases here. A
multiply-add is one weight multiplied with one number of the image and added to a sum:
at every place of the result, every filter uses each of its weights once. Zeros of the
padding count like any other number.

    a filter of an ordinary convolution has    C * k * k weights,
    a filter of a grouped convolution fewer    (k030)

The kernel is square and k is odd. There are k // 2 rings of padding, so that a place is
lost by the stride only:

    oh = (H - 1) // stride + 1        ow = (W - 1) // stride + 1

With O filters, put the cost of the separable convolution over that of the ordinary one:
most of the numbers cancel. The channels do, the image does, the stride does; what
remains is a sum of two very simple fractions. MobileNet lives on it: its 13 separable
layers, from 112 x 112 pixels of 32 channels, take 556,878,336 multiply-adds; 13
ordinary layers of the same sizes would take 4,855,431,168, more than eight times as
many.

Shapes: size is a pair (H, W), all other arguments are whole numbers from 1 on, and
groups divides channels and filters. Costs are pairs (weights, multiply-adds) of exact
whole numbers (int, no floats), right to the last digit however large they are, beyond
64 bits, too; the ratio is an exact fractions.Fraction.
Source: Howard et al., "MobileNets: efficient convolutional neural networks for mobile
vision applications", 2017, section 3.1.
Checked: exactly, against a count of the pairs of filter and channel that meet, of taps
and of places; odd and even sizes, strides, groups; whole networks, MobileNet among
them; very large numbers.
"""

from fractions import Fraction


def conv_cost(size, channels, filters, kernel, stride=1, groups=1):
    """(weights, multiply-adds) of a grouped convolution, k x k with k = kernel.

    size (H, W) is that of the image which comes in. groups=1 is an ordinary
    convolution, groups=channels a depthwise one.
    """
    raise NotImplementedError("k033: write conv_cost")


def separable_cost(size, channels, filters, kernel, stride=1):
    """(weights, multiply-adds) of a depthwise and a pointwise convolution together.

    The depthwise one is k x k with one filter on each channel, and has the stride; the
    pointwise one works on what it gives.
    """
    raise NotImplementedError("k033: write separable_cost")


def cost_ratio(filters, kernel):
    """The cost of a separable convolution over that of the ordinary one, a Fraction.

    It is the same for weights and for multiply-adds, and for any size, number of
    channels and stride.
    """
    raise NotImplementedError("k033: write cost_ratio")


def network_cost(size, channels, layers, kernel):
    """(weights, multiply-adds) of separable convolutions, one after the other.

    layers is a list of pairs (filters, stride). The first layer gets an image of this
    size and of so many channels, every other one what the layer before it gives. No
    layers cost (0, 0).
    """
    raise NotImplementedError("k033: write network_cost")
