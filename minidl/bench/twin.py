"""The same model in torch: what a torch user would write, layer by layer.

Layers that torch has become torch's. A module that only calls its children, such as a
residual block, keeps its own ``forward``: written in terms of its attributes, it works
on torch's layers as on ours. Names of parameters stay the same, so weights can be
copied over.
"""

from ..errors import ArgumentError
from ..nn import Module, Parameter
from ..tensor import Tensor
from . import peers

# The arguments of a torch layer, from ours. None: the layer has none.
LEAVES = {
    "AvgPool2d": lambda m: (m.kernel_size, m.stride, m.padding, m.ceil_mode),
    "BatchNorm2d": lambda m: (m.num_features, m.eps, m.momentum),
    "ChannelShuffle": lambda m: (m.groups,),
    "Conv2d": lambda m: (
        m.in_channels,
        m.out_channels,
        m.kernel_size,
        m.stride,
        m.padding,
        m.dilation,
        m.groups,
        m.bias is not None,
    ),
    "Dropout": lambda m: (m.p,),
    "ELU": lambda m: (m.alpha,),
    "Flatten": lambda m: (m.start_dim, m.end_dim),
    "Identity": lambda m: (),
    "LSTMCell": lambda m: (m.input_size, m.hidden_size),
    "Linear": lambda m: (m.in_features, m.out_features, m.bias is not None),
    "MaxPool2d": lambda m: (
        m.kernel_size,
        m.stride,
        m.padding,
        m.dilation,
        False,
        m.ceil_mode,
    ),
    "ReLU": lambda m: (),
    "ReLU6": lambda m: (),
    "Sigmoid": lambda m: (),
}


def _concat(twin, x):
    import torch

    return torch.cat([branch(x) for branch in twin.children()], dim=1)


def _routing(twin, x):
    z = x.mean(dim=(2, 3)) if x.ndim == 4 else x
    z = z if twin.hidden is None else twin.hidden(z).relu()
    scores = twin.scores(z)
    return scores.sigmoid() if twin.activation == "sigmoid" else scores.softmax(1)


def _attention(twin, x):
    scores = twin.second(twin.first(x.mean(dim=(2, 3))).relu())
    return (scores / twin.temperature).softmax(1)


def _cond_conv(twin, x, alpha=None):
    import torch

    alpha = twin.routing(x) if alpha is None else alpha
    count, (_, out, *kernel) = len(x), twin.weight.shape
    weight = (alpha @ twin.weight.flatten(1)).reshape(count * out, *kernel)
    options = twin.stride, twin.padding, twin.dilation, twin.groups * count
    images = x.reshape(1, -1, *x.shape[2:])
    y = torch.nn.functional.conv2d(images, weight, None, *options)
    y = y.reshape(count, out, *y.shape[2:])
    return y if twin.bias is None else y + (alpha @ twin.bias)[:, :, None, None]


def _generated(twin, z):
    import torch

    a = torch.einsum("tz,idz->tid", z, twin.weight) + twin.offset
    k = a @ twin.weight_out.T + twin.offset_out
    f = twin.kernel_size
    k = k.reshape(len(z), twin.in_channels, twin.out_channels, f, f)
    return k.transpose(1, 2)


def _hyper_conv(twin, x):
    import torch

    tiles = twin.generator(twin.z)
    tiles = tiles.unflatten(0, (twin.rows, twin.columns)).transpose(1, 2)
    kernel = tiles.flatten(2, 3).flatten(0, 1)
    options = twin.bias, twin.stride, twin.padding
    return torch.nn.functional.conv2d(x, kernel, *options)


def _cond_linear(twin, x, alpha=None):
    alpha = twin.routing(x) if alpha is None else alpha
    weight = (alpha @ twin.weight.flatten(1)).reshape(len(x), *twin.weight.shape[1:])
    return (weight @ x[:, :, None])[:, :, 0] + alpha @ twin.bias


def _shake_shake(twin, x):
    """Out of training: what is drawn in it is the other library's own."""
    return (twin.first(x) + twin.second(x)) / 2


def _thinned(twin, x):
    import torch

    x = torch.nn.functional.pad(x, (0, 1, 0, 1))[..., 1:, 1:] if twin.moved else x
    return x[..., :: twin.stride, :: twin.stride]


def _run_or_skip(block, x, keep):
    keep = keep[:, None, None, None]
    return keep * block(x) + (1 - keep) * block.shortcut(x)


def _shortcut(twin, x):
    import torch

    s, more = twin.stride, twin.out - twin.channels
    return torch.nn.functional.pad(x[:, :, ::s, ::s], (0, 0, 0, 0, 0, more))


def _block(twin, x):
    return (twin.body(x) + twin.shortcut(x)).relu()


def _resnet(twin, x, keep=None):
    x = twin.stem(x)
    for i, block in enumerate(twin.blocks.children()):
        x = block(x) if keep is None else _run_or_skip(block, x, keep[:, i])
    return twin.head(x)


def _feed_forward_gate(twin, x, state=None):
    return twin.score(twin.look(x)).sigmoid()[:, 0], None


def _recurrent_gate(twin, x, state=None):
    state = twin.memory(twin.embed(x.mean(dim=(2, 3))), state)
    return twin.score(state[0]).sigmoid()[:, 0], state


def _skip_net(twin, x):
    """The supervised stage's pass: straight through the gates while training."""
    first, *others = twin.net.blocks.children()
    x, state = first(twin.net.stem(x)), None
    for gate, block in zip(twin.gates.children(), others):
        p, state = gate(x, state)
        g = (p > 0.5).to(p.dtype)
        g = g + p - p.detach() if twin.training else g
        x = _run_or_skip(block, x, g)
    return twin.net.head(x)


def _drop_policy(twin, x):
    return twin.net(x).sigmoid()


def _block_drop(twin, x):
    keep = (twin.policy(x).detach() >= 0.5) | (twin.fixed > 0)
    return twin.net(x, keep.to(x.dtype))


def _written_kernel(twin, in_ratio, out_ratio):
    weight = twin.first.weight
    encoded = weight.new_tensor([[in_ratio, out_ratio]])
    return twin.second(twin.first(encoded).relu()).reshape(twin.size)


def _own_kernel(twin, in_ratio, out_ratio):
    return twin.weight


def _cropped_net(twin, x):
    """With all its channels."""
    import torch

    layers = twin.kernels.children(), twin.norms.children(), twin.strides
    for kernel, norms, stride in zip(*layers):
        x = torch.nn.functional.conv2d(x, kernel(1.0, 1.0), None, stride, 1)
        x = list(norms.children())[-1](x).relu()
    return twin.head(x.mean(dim=(2, 3)))


def _meta_pruned(twin, x):
    return twin.writer(x)


def _routing_network(twin, x):
    """The likeliest ways."""
    import torch

    h, outputs = twin.trunk(x), []
    for task in twin.router.table.argmax(-1).tolist():
        y = h
        for blocks, a in zip(twin.layers.children(), task):
            y = list(blocks.children())[a](y)
        outputs.append(y)
    return torch.cat(outputs, 1)


def _fastfood(twin, x):
    import torch

    m, d = twin.s.shape
    x = torch.nn.functional.pad(x, (0, d - twin.in_features))
    u = peers.fwht(twin.b * x[:, None])
    u = u.gather(2, twin.permutation.expand(u.shape))
    y = twin.s * peers.fwht(twin.g * u) / (twin.sigma * d**0.5)
    y = y.reshape(len(x), m * d)[:, : twin.out_features]
    return y if twin.bias is None else y + twin.bias


def _gaussian_rows(twin, x):
    import torch

    return torch.nn.functional.linear(x, twin.weight)


def _phased(twin, z):
    return (z + twin.phase).cos() * twin.scale


def _global_average(twin, x):
    return x.mean(dim=(2, 3))


def _same_max_pool(twin, x):
    import torch.nn.functional as F

    odd = tuple(n % 2 for n in x.shape[2:])
    return F.max_pool2d(x, 3, 2, odd, ceil_mode=True)


# ``forward`` of modules whose own would call minidl's functions.
FORWARDS = {
    "Attention": _attention,
    "Block": _block,
    "BlockDrop": _block_drop,
    "CroppedNet": _cropped_net,
    "FeedForwardGate": _feed_forward_gate,
    "MetaPruned": _meta_pruned,
    "OwnKernel": _own_kernel,
    "Policy": _drop_policy,
    "RecurrentGate": _recurrent_gate,
    "ResNet": _resnet,
    "Router": None,  # a table alone
    "RoutingNetwork": _routing_network,
    "Shortcut": _shortcut,
    "SkipNet": _skip_net,
    "WrittenKernel": _written_kernel,
    "CondConv2d": _cond_conv,
    "CondLinear": _cond_linear,
    "DynamicConv2d": _cond_conv,
    "Routing": _routing,
    "ShakeShake": _shake_shake,
    "Thinned": _thinned,
    "Concat": _concat,
    "Fastfood": _fastfood,
    "GaussianRows": _gaussian_rows,
    "HyperConv2d": _hyper_conv,
    "KernelGenerator": _generated,
    "Phased": _phased,
    "GlobalAvgPool2d": _global_average,
    "SameMaxPool2d": _same_max_pool,
    "Shift2d": lambda twin, x: twin.move(x),
}


def twin(module: Module, shift="depthwise", device="cpu", made: dict | None = None):
    """A torch.nn.Module of the same layers under the same names, freshly initialised.

    ``shift`` is how a shift is written, see `peers.SHIFTS`, and ``device`` where it
    keeps its offsets. Layers of the papers' own keep the numbers that were drawn.

    Raises: ArgumentError for a layer that has no counterpart.
    """
    made = {} if made is None else made  # a module that is shared stays so
    if module not in made:
        made[module] = _twin(module, shift, device, made)
    return made[module]


def _twin(module, shift, device, made):
    import torch

    kind = type(module).__name__
    if kind in LEAVES:
        return getattr(torch.nn, kind)(*LEAVES[kind](module))
    children = {k: twin(m, shift, device, made) for k, m in module.named_children()}
    if kind == "Sequential":
        other = torch.nn.Sequential()
    elif kind in FORWARDS or children:
        forward = FORWARDS.get(kind, type(module).forward)
        other = type(kind, (torch.nn.Module,), {"forward": forward})()
    else:
        raise ArgumentError(f"twin: layer must have a counterpart in torch; got {kind}")
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            values = torch.tensor(value.detach().cpu().numpy())
            if isinstance(value, Parameter):
                other.register_parameter(name, torch.nn.Parameter(values))
            else:
                other.register_buffer(name, values)
        elif isinstance(value, str | int | float | tuple | None) and name != "training":
            setattr(other, name, value)
    for name, child in children.items():
        other.add_module(name, child)
    if kind == "Shift2d":
        dy, dx = ([-d for d in ds] for ds in (module.dh, module.dw))
        other.move = peers.SHIFTS[shift](dy, dx, device)
    return other


def copy_state(module: Module, other) -> None:
    """Give ``other``, a `twin`, the parameters and buffers of ``module``."""
    import torch

    state = {k: torch.tensor(t.numpy()) for k, t in module.state_dict().items()}
    missing, unexpected = other.load_state_dict(state, strict=False)
    lost = [k for k in missing if not k.endswith("num_batches_tracked")]
    if lost or unexpected:
        raise ArgumentError(f"copy_state: names must agree; got {lost + unexpected}")
