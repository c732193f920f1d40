"""k034: From Inception to Xception

*** | 30 minutes | after k030, k031, k032, k033

An Inception module looks at the same image along several branches. In its simplified
form each branch picks some mixtures of the channels (1 x 1), cuts off what is negative
(ReLU), and looks around in what is left (3 x 3); the results are concatenated:

          +-- 1x1 -- ReLU -- 3x3 --+
    x ----+-- 1x1 -- ReLU -- 3x3 --+---- concatenated channels
          +-- 1x1 -- ReLU -- 3x3 --+

Now look from the side. All the 1 x 1 kernels read the same x, so together they are one
1 x 1 kernel. And a 3 x 3 kernel that reads only what its own branch has made is one
group of a grouped convolution. It is exactly the same function, with segments as many
as there were branches:

    x ---- 1x1 ---- ReLU ---- 3x3 in groups, one segment of the channels each

With one segment that is a 1 x 1 and an ordinary 3 x 3. The other end, one segment for
each channel, is the "extreme" Inception module. It looks nearly like a separable
convolution, which is what Xception is built of. Two things differ:

    extreme Inception:    1x1 (C to M) -- ReLU -- 3x3 on each of M channels
    separable:            3x3 on each of C channels ------- 1x1 (C to O)

the order, and the ReLU between the two: a separable convolution has none, so it is
linear.

Every 3 x 3 here has stride 1 and padding 1, so the image keeps its size. There are no
biases. ReLU(a) is the larger of a and 0.

Your convolutions of k025, k030, k031 and k032 are there for you; what a module needs is
short, once it is clear.

Shapes: x (N, C, H, W). branches is a list of one or more pairs of kernels (first,
second) of shapes (m, C, 1, 1) and (n, m, 3, 3). All arrays are floats of one dtype,
which everything that comes back has, too.
Source: Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR
2017, section 1; Szegedy et al., "Going deeper with convolutions", CVPR 2015.
Checked: every module against loops over single channels; the two forms of the Inception
module against each other; the counts exactly; views, float32.
"""

import numpy as np

from solutions.c_convolution.k025_stride_pad_dilation import conv2d
from solutions.d_efficient_conv.k030_grouped_conv import grouped_conv2d
from solutions.d_efficient_conv.k031_depthwise_conv import depthwise_conv2d
from solutions.d_efficient_conv.k032_pointwise_conv import pointwise_conv2d


def inception(x, branches):
    """The module as it is drawn first, branch by branch.

    Here, m and n may be different in every branch. The branches' results follow each
    other in the order of the branches; nothing is done to them after the 3 x 3.

    Shapes: x (N, C, H, W), result (N, sum of all n, H, W).
    """
    raise NotImplementedError("k034: write inception")


def join(branches):
    """The kernels (first, second) with which `segmented` is `inception`, a pair.

    Here, all branches have the same m and the same n. There is one segment for each
    branch.

    Shapes: with B branches first (B * m, C, 1, 1), second (B * n, m, 3, 3).
    """
    raise NotImplementedError("k034: write join")


def segmented(x, first, second, segments):
    """A 1 x 1 convolution, a ReLU, and a 3 x 3 convolution in so many groups.

    With segments = M it is the extreme Inception module.

    Shapes: x (N, C, H, W), first (M, C, 1, 1), second (O, M / segments, 3, 3), result
        (N, O, H, W). segments divides M and O.
    """
    raise NotImplementedError("k034: write segmented")


def separable(x, depthwise, pointwise):
    """The separable convolution of Xception, drawn last.

    Shapes: x (N, C, H, W), depthwise (C, 1, 3, 3), pointwise (O, C, 1, 1), result
        (N, O, H, W).
    """
    raise NotImplementedError("k034: write separable")


def segmented_weights(channels, middle, filters, segments):
    """How many weights the kernels of `segmented` have together, a whole number (int).

    The three first numbers are C, M and O. It is exact, however large it is.
    """
    raise NotImplementedError("k034: write segmented_weights")


def separable_weights(channels, filters):
    """How many weights the kernels of `separable` have together, a whole number (int).

    The numbers are C and O. It is exact, however large it is.
    """
    raise NotImplementedError("k034: write separable_weights")
