"""2-D convolution and its two gradients on CUDA, for arrays of CuPy.

Which algorithm, by shape (`direct`, `pointwise`, else columns):

- groups of at most `PAIRS` pairs of channels (depthwise among them): a tiled kernel
  without columns. Columns would be as many times larger as the filter has taps, and a
  product with so few rows per group leaves cuBLAS without work.
- 1x1, stride 1, no padding: the images are the columns already; one product.
- all others: columns and one product by cuBLAS, whose rate no simple loop reaches.

Sums run in a fixed order, without atomic additions: the same input, the same bits.
"""

from ..backend import xp_of
from ._cuda import SHARED, Raw, blocks, lanes
from .windows import fold_cuda, output_size, unfold_cuda

PAIRS = 64  # of an input and an output channel of a group, up to which it is direct
COLUMNS = 1 << 27  # elements of unfolded images held at once
ROWS = 4  # rows of the tile that a thread computes
BLOCKS = 1024  # enough for a large device to be busy
SHARE = 1 << 13  # products that are worth a block of their own
TAPS = 9  # sums that a thread of the weight gradient holds

# The convolution and its gradient by the input are one kernel. A value in row y of
# the target sums, over taps i, the weight times the source in row s, where
#     s * div = y * mul + i * step + offset,
# with (mul, step, offset, div) = (stride, dilation, -padding, 1) for the convolution
# and (1, -dilation, padding, stride) for the gradient, whose taps have to divide.
_DIRECT = r"""
// A block holds blockDim.z items: an image and up to OUTS channels of one group. For
// each it computes a tile of ROWS * blockDim.y rows and blockDim.x columns. Source
// channels come into shared memory one by one, with the taps that belong to them.
extern "C" __global__ void __launch_bounds__(256) NAME(
        const T* __restrict__ x, const T* __restrict__ w, T* __restrict__ y,
        I items, I groups, I ins, I outs, I in_h, I in_w, I out_h, I out_w,
        I w_out, I w_in, I kh, I kw, I mul_h, I mul_w, I step_h, I step_w,
        I offset_h, I offset_w, I div_h, I div_w, I tile_h, I tile_w) {
    extern __shared__ T memory[];
    const int ROWS = 4;
    I tx = (I)threadIdx.x, ty = (I)threadIdx.y, tz = (I)threadIdx.z;
    I nx = (I)blockDim.x, ny = (I)blockDim.y, taps = kh * kw;
    T* tile = memory + tz * (tile_h * tile_w + OUTS * taps);
    T* filter = tile + tile_h * tile_w;

    I across = (out_w + nx - 1) / nx, down = (out_h + ROWS * ny - 1) / (ROWS * ny);
    I left = (I)blockIdx.x % across * nx, rest = (I)blockIdx.x / across;
    I top = rest % down * (ROWS * ny), item = rest / down * (I)blockDim.z + tz;
    I parts = (outs + OUTS - 1) / OUTS;
    I first = item % parts * OUTS, group = item / parts % groups;
    I image = item / parts / groups;
    bool active = item < items;

    // The source rows and columns of the tile start at the smallest one that any tap of
    // any target reads: the quotient, rounded up.
    I low = top * mul_h + offset_h + (step_h < 0 ? step_h * (kh - 1) : 0);
    I row0 = low / div_h + (low % div_h > 0);
    low = left * mul_w + offset_w + (step_w < 0 ? step_w * (kw - 1) : 0);
    I col0 = low / div_w + (low % div_w > 0);

    T sum[ROWS][OUTS];
    for (int r = 0; r < ROWS; r++)
        for (int o = 0; o < OUTS; o++) sum[r][o] = 0;
    for (I c = 0; c < ins; c++) {
        const T* plane = x + ((image * groups + group) * ins + c) * in_h * in_w;
        for (I r = ty; r < tile_h; r += ny)
            for (I s = tx; s < tile_w; s += nx) {
                I row = row0 + r, col = col0 + s;
                bool inside = row >= 0 && row < in_h && col >= 0 && col < in_w;
                tile[r * tile_w + s] =
                    active && inside ? plane[row * in_w + col] : T(0);
            }
        for (I t = ty * nx + tx; t < OUTS * taps; t += nx * ny) {
            I o = first + t / taps;
            filter[t] = active && o < outs
                ? w[group * ins * outs * taps + o * w_out + c * w_in + t % taps] : T(0);
        }
        __syncthreads();
        for (I i = 0; i < kh; i++) {
            I at[ROWS];  // where the row that target row r reads starts in the tile
            for (int r = 0; r < ROWS; r++) {
                I row = (top + ty + r * ny) * mul_h + i * step_h + offset_h;
                at[r] = (DIVIDES ? row / div_h - row0 : row - row0) * tile_w;
                if (DIVIDES && row % div_h) at[r] = -1;
            }
            for (I j = 0; j < kw; j++) {
                I col = (left + tx) * mul_w + j * step_w + offset_w;
                if (DIVIDES && col % div_w) continue;
                col = (DIVIDES ? col / div_w : col) - col0;
                T weight[OUTS];
                for (int o = 0; o < OUTS; o++)
                    weight[o] = filter[o * taps + i * kw + j];
                for (int r = 0; r < ROWS; r++) {
                    if (DIVIDES && at[r] < 0) continue;
                    T value = tile[at[r] + col];
                    for (int o = 0; o < OUTS; o++) sum[r][o] += weight[o] * value;
                }
            }
        }
        __syncthreads();
    }
    I col = left + tx;
    for (int r = 0; r < ROWS; r++) {
        I row = top + ty + r * ny;
        for (int o = 0; o < OUTS; o++)
            if (active && first + o < outs && row < out_h && col < out_w) {
                I channel = (image * groups + group) * outs + first + o;
                y[(channel * out_h + row) * out_w + col] = sum[r][o];
            }
    }
}
"""


def _variant(outs, divides):
    name = f"minidl_conv2d_{outs}" + "_strided" * divides
    constants = (
        f"\nconst int OUTS = {outs};\nconst bool DIVIDES = {str(divides).lower()};\n"
    )
    return Raw(constants + _DIRECT.replace("NAME", name), name)


_direct = {(o, d): _variant(o, d) for o in (1, 4) for d in (False, True)}

_weight_device = Raw(
    r"""
// A block sums, for one filter plane (o, c) and up to TAPS taps at a time, over a part
// of the rows of all images; parts are added up by the caller.
extern "C" __global__ void __launch_bounds__(256) minidl_conv2d_weight(
        const T* __restrict__ x, const T* __restrict__ g, T* __restrict__ w,
        I rows, I rows_each, I filters, I ins, I groups, I outs, I in_h, I in_w,
        I out_h, I out_w, I kh, I kw, I sh, I sw, I top, I left, I dh, I dw) {
    const int TAPS = 9, WARPS = 8;
    __shared__ T partial[WARPS][TAPS];
    I tx = (I)threadIdx.x, ty = (I)threadIdx.y, nx = (I)blockDim.x, ny = (I)blockDim.y;
    I number = ty * nx + tx, taps = kh * kw;
    I filter = (I)blockIdx.x % filters, part = (I)blockIdx.x / filters;
    I o = filter / ins, c = o / outs * ins + filter % ins;
    I begin = part * rows_each;
    I end = rows - begin < rows_each ? rows : begin + rows_each;
    for (I start = 0; start < taps; start += TAPS) {
        I down[TAPS], right[TAPS];
        T sum[TAPS];
        #pragma unroll
        for (int t = 0; t < TAPS; t++) {
            down[t] = (start + t) / kw * dh - top;
            right[t] = (start + t) % kw * dw - left;
            sum[t] = 0;
        }
        for (I r = begin + ty; r < end; r += ny) {
            I image = r / out_h, p = r % out_h;
            const T* above = g + ((image * groups * outs + o) * out_h + p) * out_w;
            const T* plane = x + (image * groups * ins + c) * in_h * in_w;
            for (I q = tx; q < out_w; q += nx) {
                T value = above[q];
                #pragma unroll
                for (int t = 0; t < TAPS; t++) {
                    I row = p * sh + down[t], col = q * sw + right[t];
                    if (start + t < taps && row >= 0 && row < in_h && col >= 0 &&
                            col < in_w)
                        sum[t] += value * plane[row * in_w + col];
                }
            }
        }
        #pragma unroll
        for (int t = 0; t < TAPS; t++) {
            if (start + t >= taps) break;
            for (int d = 16; d > 0; d /= 2)
                sum[t] += __shfl_down_sync(0xffffffffu, sum[t], d);
            if (number % 32 == 0) partial[number / 32][t] = sum[t];
        }
        __syncthreads();
        if (number < TAPS && start + number < taps) {
            T total = 0;
            for (int k = 0; k < WARPS; k++) total += partial[k][number];
            w[((I)blockIdx.x) * taps + start + number] = total;
        }
        __syncthreads();
    }
}
""",
    "minidl_conv2d_weight",
)


def direct(groups: int, ins: int, outs: int) -> bool:
    """Whether groups of ``ins`` and ``outs`` channels take the tiled kernels."""
    return groups > 1 and ins * outs <= PAIRS


def pointwise(kernel, stride, padding) -> bool:
    """Whether the images are their own columns."""
    return (*kernel, *stride) == (1, 1, 1, 1) and not any(padding[0] + padding[1])


def _tile(out, kernel, mul, step, div, outs, itemsize):
    """A block and its tile of the source, as large as shared memory allows, or None.

    Small images share a block: what is left of 256 threads holds further items.
    """
    nx = lanes(out[1])
    ny = lanes(-(-out[0] // ROWS), 256 // nx)
    nz = min(256 // (nx * ny), 64)
    while True:
        tile = tuple(
            ((n - 1) * m + abs(s) * (k - 1)) // d + 1
            for n, m, s, k, d in zip((ny * ROWS, nx), mul, step, kernel, div)
        )
        shared = nz * (tile[0] * tile[1] + outs * kernel[0] * kernel[1]) * itemsize
        if shared <= SHARED:
            return (nx, ny, nz), tile, shared
        if nz > 1:
            nz //= 2
        elif ny > 1:
            ny //= 2
        elif nx > 1:
            nx //= 2
        else:
            return None


def _run_direct(x, w, out, groups, w_steps, mul, step, offset, div):
    """The tiled kernel on ``x``, or None where no tile fits shared memory."""
    xp, (n, channels, *size), kernel = xp_of(x, w), x.shape, w.shape[2:]
    ins, outs = channels // groups, w.size // (kernel[0] * kernel[1] * channels)
    each = 4 if outs > 1 else 1
    fit = _tile(out, kernel, mul, step, div, each, x.dtype.itemsize)
    if fit is None:
        return None
    block, tile, shared = fit
    items = n * groups * -(-outs // each)
    y = xp.empty((n, groups * outs, *out), x.dtype)
    grid = blocks(items, block[2]) * blocks(out[0], ROWS * block[1])
    args = (xp.ascontiguousarray(x), xp.ascontiguousarray(w), y, items, groups)
    args += (ins, outs, *size, *out, *w_steps, *kernel)
    args += (*mul, *step, *offset, *div, *tile)
    kernel = _direct[each, max(div) > 1]
    kernel(x.dtype, (grid * blocks(out[1], block[0]),), block, args, shared)
    return y


def conv2d(x, w, stride, padding, dilation, groups):
    """The convolution: see `reference` in ``conv.py``."""
    xp, kernel, (n, channels) = xp_of(x, w), w.shape[2:], x.shape[:2]
    out = output_size(x.shape[2:], kernel, stride, padding, dilation)
    ins, outs, taps = w.shape[1], w.shape[0] // groups, kernel[0] * kernel[1]
    y_shape = (n, w.shape[0], *out)
    if not (x.size and w.size and n * out[0] * out[1]):
        return xp.zeros(y_shape, x.dtype)
    if direct(groups, ins, outs):
        offset = (-padding[0][0], -padding[1][0])
        steps = (ins * taps, taps)
        y = _run_direct(x, w, out, groups, steps, stride, dilation, offset, div=(1, 1))
        if y is not None:
            return y
    filters = w.reshape(groups, outs, ins * taps)
    if pointwise(kernel, stride, padding):
        return (filters @ x.reshape(n, groups, ins, -1)).reshape(y_shape)
    y = xp.empty(y_shape, x.dtype)
    for part in _parts(n, channels * taps * out[0] * out[1]):
        cols = unfold_cuda(x[part], kernel, stride, padding, dilation, by_image=True)
        cols = cols.reshape(len(cols), groups, ins * taps, out[0] * out[1])
        maps = y[part].reshape(len(cols), groups, outs, out[0] * out[1])
        xp.matmul(filters, cols, out=maps)
    return y


def conv2d_input(g, w, size, stride, padding, dilation, groups):
    """The gradient by the input: see `input_reference` in ``conv.py``."""
    xp, kernel, (n, maps), out = xp_of(g, w), w.shape[2:], g.shape[:2], g.shape[2:]
    ins, outs, taps = w.shape[1], maps // groups, kernel[0] * kernel[1]
    x_shape = (n, groups * ins, *size)
    if not (g.size and w.size and n * size[0] * size[1]):
        return xp.zeros(x_shape, g.dtype)
    if direct(groups, ins, outs):
        back, offset = tuple(-d for d in dilation), (padding[0][0], padding[1][0])
        steps = (taps, ins * taps)
        x = _run_direct(g, w, size, groups, steps, (1, 1), back, offset, div=stride)
        if x is not None:
            return x
    filters = w.reshape(groups, outs, ins * taps).transpose(0, 2, 1)
    if pointwise(kernel, stride, padding):
        return (filters @ g.reshape(n, groups, outs, -1)).reshape(x_shape)
    folded = []
    for part in _parts(n, groups * ins * taps * out[0] * out[1]):
        cols = filters @ g[part].reshape(-1, groups, outs, out[0] * out[1])
        cols = cols.reshape(len(cols), groups * ins, *kernel, *out)
        geometry = (size, kernel, stride, padding, dilation)
        folded.append(fold_cuda(cols, *geometry, by_image=True))
    return folded[0] if len(folded) == 1 else xp.concatenate(folded)


def conv2d_weight(x, g, kernel, stride, padding, dilation, groups):
    """The gradient by the weights: see `weight_reference` in ``conv.py``."""
    xp, (n, channels), (maps, *out) = xp_of(x, g), x.shape[:2], g.shape[1:]
    ins, outs, taps = channels // groups, maps // groups, kernel[0] * kernel[1]
    w_shape = (maps, ins, *kernel)
    if not (x.size and g.size and maps * ins * taps):
        return xp.zeros(w_shape, x.dtype)
    if direct(groups, ins, outs):
        filters, rows = maps * ins, n * out[0]
        parts = min(rows, blocks(BLOCKS, filters), blocks(rows * out[1], SHARE))
        each = -(-rows // parts)
        parts = -(-rows // each)
        w = xp.empty((parts, *w_shape), x.dtype)
        columns = lanes(out[1])
        args = (xp.ascontiguousarray(x), xp.ascontiguousarray(g), w, rows, each)
        args += (filters, ins, groups, outs, *x.shape[2:], *out, *kernel, *stride)
        args += (padding[0][0], padding[1][0], *dilation)
        block = (columns, 256 // columns)
        _weight_device(x.dtype, (parts * filters,), block, args)
        return w[0] if parts == 1 else w.sum(0)
    w = None
    for part in _parts(n, channels * taps * out[0] * out[1]):
        if pointwise(kernel, stride, padding):
            cols = x[part].transpose(1, 0, 2, 3)
        else:
            cols = unfold_cuda(x[part], kernel, stride, padding, dilation)
        cols = cols.reshape(groups, ins * taps, -1).transpose(0, 2, 1)
        rows = g[part].transpose(1, 0, 2, 3).reshape(groups, outs, -1)
        w = rows @ cols if w is None else w + rows @ cols
    return w.reshape(w_shape)


def _parts(images, columns):
    """Slices over the batch whose columns are about `COLUMNS` elements."""
    step = max(1, COLUMNS // columns)
    return [slice(i, i + step) for i in range(0, images, step)]
