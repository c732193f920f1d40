"""k053: A whole batch of kernels by one grouped convolution

**** | 30 minutes | after k030, k051

In a CondConv layer every image has a kernel of its own (k051). A loop over the images
works, but a library is fastest when it gets all the work in one call, and it has none
for N kernels. It does have grouped convolutions (k030), whose groups never meet. So let
every image be a group! All images are laid on one another, as the channels of a single
image, and all kernels as its filters:

    x        (N, C, H, W)       --->  (1, N * C, H, W)        one image
    kernels  (N, O, C, kh, kw)  --->  (N * O, C, kh, kw)      N groups of O filters
    y        (N, O, oh, ow)     <---  (1, N * O, oh, ow)

    three images of two channels:   a0 a1 | b0 b1 | c0 c1
    their kernels, O = 1:             Wa  |   Wb  |   Wc      groups = 3

In memory nothing moves. If the convolution has groups itself, as a depthwise one, each
image brings all of its groups along: then there are N * groups, and kernels are
(N, O, C / groups, kh, kw).

Backwards it is the same: g is laid out as y was. The gradient by the large kernel has
the rows of all images one below the other, a gradient for each image's kernel.

The grouped convolution is an argument: conv(x, w, groups, stride, padding) is what k030
calls grouped_conv2d, and conv_backward(g, x, w, groups, stride, padding) gives (gx, gw)
as grouped_conv2d_backward does. Stride and padding are for you to pass on.

Rules: one call of conv, or of conv_backward, and no others; no loops.

Shapes: x and gx (N, C, H, W), kernels and gkernels (N, O, C / groups, kh, kw), y and g
(N, O, oh, ow), as in k030. groups divides C and O; all sizes are 1 or more. All are
floats of one dtype, which every result has, too.
Source: Yang, Bender, Le and Ngiam, "CondConv: Conditionally parameterized convolutions
for efficient inference", NeurIPS 2019.
Checked: against loops, image by image; with conv of k030 and with other maps in its
place; one image and many, one group, several and depthwise; what conv is called with;
float32; views; the rules.
"""


def conv_of_batch(x, kernels, groups, stride, padding, conv):
    """y: image b convolved with kernels[b], by one call of ``conv``.

    Shapes: x (N, C, H, W), kernels (N, O, C / groups, kh, kw), y (N, O, oh, ow).
    """
    # answer
    (n, channels, *size), filters = x.shape, kernels.shape[1]
    image = x.reshape(1, n * channels, *size)
    w = kernels.reshape(n * filters, *kernels.shape[2:])
    y = conv(image, w, n * groups, stride, padding)
    return y.reshape(n, filters, *y.shape[2:])


def conv_of_batch_backward(g, x, kernels, groups, stride, padding, conv_backward):
    """The gradients (gx, gkernels) of `conv_of_batch`, by one call.

    Shapes: g (N, O, oh, ow), gx (N, C, H, W), gkernels (N, O, C / groups, kh, kw).
    """
    # answer
    (n, channels, *size), filters = x.shape, kernels.shape[1]
    g = g.reshape(1, n * filters, *g.shape[2:])
    image = x.reshape(1, n * channels, *size)
    w = kernels.reshape(n * filters, *kernels.shape[2:])
    gx, gw = conv_backward(g, image, w, n * groups, stride, padding)
    return gx.reshape(x.shape), gw.reshape(kernels.shape)
