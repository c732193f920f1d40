"""Tensors to and from NumPy, DLPack, torch, numbers and text."""

import copy

import numpy as np
import pytest

import minidl
from minidl import from_dlpack, tensor
from minidl.errors import BackendError, DtypeError, GradError, ShapeError
from minidl.tensor import Tensor


def ramp(*shape, dtype="float32"):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def test_tensor_copies_and_chooses_types():
    array = ramp(3)
    t = tensor(array)
    array[0] = 9
    assert t.tolist() == [0.0, 1.0, 2.0] and t.dtype == "float32"
    assert tensor(t).data is not t.data
    for data, dtype in ((1.5, "float32"), ([1, 2], "int64"), ([True], "bool"),
                        ([1, 2.5], "float32"), (ramp(2, dtype="float64"), "float64"),
                        (np.float64(1), "float64"), (np.int8(1), "int8")):
        assert tensor(data).dtype == dtype
    assert tensor([0.1], dtype="float64").item() == 0.1  # not rounded on the way
    assert tensor([1, 2], dtype="float32", requires_grad=True).requires_grad
    assert tensor([[t[0], 1.0], [2.0, t[2]]]).tolist() == [[0.0, 1.0], [2.0, 2.0]]


@pytest.mark.parametrize("data, dtype, error, message", [
    ([[1, 2], [3]], None, ShapeError, "nested lists must have equal lengths"),
    (["a"], None, DtypeError, "dtype must be float32, float64, an integer or bool"),
    (None, None, DtypeError, "dtype must be"), (1j, None, DtypeError, "complex128"),
    (ramp(2).astype("float16"), None, DtypeError, "got float16"),
    ([1.0], "no such type", DtypeError, "dtype is not understood; got 'no such type'"),
])
def test_tensor_refuses_other_data(data, dtype, error, message):
    with pytest.raises(error, match=message):
        tensor(data, dtype)


def test_unknown_devices_are_refused():
    for move in (lambda: tensor([1.0], device="tpu"), lambda: tensor([1.0]).to("gpu")):
        with pytest.raises((minidl.MinidlError), match="'(tpu|gpu)'"):
            move()


def test_numpy_shares_memory():
    t = tensor([1.0, 2.0])
    array = t.numpy()
    array[0] = 5.0
    assert array is t.data and t.tolist() == [5.0, 2.0]
    x = tensor([1.0], requires_grad=True)
    for tracked in (x, x * 2.0):
        for convert in (tracked.numpy, lambda: np.asarray(tracked)):
            with pytest.raises(GradError, match=r"use \.detach\(\)\.numpy\(\)"):
                convert()
    assert x.detach().numpy() is x.data


def test_numpy_functions_take_tensors():
    t = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.asarray(t) is t.data
    assert np.array(t) is not t.data and np.array(t, copy=False) is t.data
    assert np.asarray(t, dtype="float64").dtype == "float64"
    assert not np.shares_memory(np.array(t, copy=True), t.data)
    with pytest.raises(ValueError, match="needs a copy"):
        np.asarray(t, dtype="float64", copy=False)
    np.testing.assert_allclose(np.linalg.inv(t) @ np.asarray(t), np.eye(2), atol=1e-5)
    np.testing.assert_array_equal(np.stack([t, t]), np.stack([t.data] * 2))
    np.testing.assert_array_equal(t, t.data)


def test_an_array_on_the_left_gives_a_tensor():
    t, array = tensor([1.0, 2.0], requires_grad=True), ramp(2) + 1
    for y, expected in (
        (array * t, [1.0, 4.0]), (array + t, [2.0, 4.0]), (array - t, [0.0, 0.0]),
        (array / t, [1.0, 1.0]), (array**t, [1.0, 4.0]), (array @ t, 5.0),
        (np.float32(2) * t, [2.0, 4.0]), (np.float64(1) - t, [0.0, -1.0]),
    ):
        assert isinstance(y, Tensor) and y.requires_grad and y.tolist() == expected
    assert isinstance(array == t, Tensor) and (array >= t).tolist() == [True, True]
    with pytest.raises(TypeError):
        np.add(array, t)
    with pytest.raises(TypeError):
        array += t


LAYOUTS = {
    "plain": lambda: ramp(2, 3), "transpose": lambda: ramp(2, 3).T,
    "strided": lambda: ramp(4, 6)[::2, 1::3], "reversed": lambda: ramp(2, 3)[:, ::-1],
    "both reversed": lambda: ramp(2, 3)[::-1, ::-1],
    "broadcast": lambda: np.broadcast_to(ramp(3), (2, 3)),
    "empty": lambda: ramp(0, 3), "0-d": lambda: np.array(2.5),
    "double": lambda: ramp(3, dtype="float64"), "whole": lambda: ramp(3, dtype="int64"),
    "bytes": lambda: ramp(3, dtype="uint8"), "mask": lambda: ramp(4) > 1,
}


def read_only(array):
    array = array.view()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("protect", [False, True], ids=["writeable", "read-only"])
def test_numpy_arrays_come_and_go_through_dlpack(name, protect):
    array = read_only(LAYOUTS[name]()) if protect else LAYOUTS[name]()
    t = from_dlpack(array)
    np.testing.assert_array_equal(t.data, array, strict=True)
    assert t.data.flags.writeable
    assert np.shares_memory(t.data, array) == (array.flags.writeable and array.size > 0)
    back = np.from_dlpack(Tensor(array))
    np.testing.assert_array_equal(back, array, strict=True)
    again = from_dlpack(Tensor(array))
    np.testing.assert_array_equal(again.data, array, strict=True)
    assert again.data.flags.writeable


def test_dlpack_shares_memory_both_ways():
    array = ramp(4)
    t = from_dlpack(array)
    u = from_dlpack(t)
    array[0], t.data[1] = 10.0, 11.0
    u.data[2] = 12.0
    assert array.tolist() == t.tolist() == u.tolist() == [10.0, 11.0, 12.0, 3.0]
    assert t.__dlpack_device__() == (1, 0) and t.is_leaf and not t.requires_grad


def test_dlpack_refuses_what_it_cannot_share():
    x = tensor([1.0], requires_grad=True)
    for tracked in (x, x * 2.0):
        with pytest.raises(BufferError, match="requires a gradient"):
            np.from_dlpack(tracked)
    for array in (ramp(2).astype("float16"), ramp(2).astype("complex64")):
        with pytest.raises(DtypeError, match="from_dlpack: dtype must be"):
            from_dlpack(array)
    with pytest.raises(AttributeError, match="__dlpack_device__"):
        from_dlpack([1.0])


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs torch to exchange memory with it")


@pytest.mark.parametrize("name", LAYOUTS)
def test_torch_takes_tensors(torch, name):
    array = LAYOUTS[name]()
    exchanged = torch.from_dlpack(Tensor(array))
    np.testing.assert_array_equal(exchanged.numpy(), array, strict=True)
    shared = min(array.strides, default=0) >= 0 and array.size > 0
    assert np.shares_memory(exchanged.numpy(), array) == shared


def test_torch_gives_tensors(torch):
    theirs = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    ours = from_dlpack(theirs.T)
    assert ours.shape == (3, 2) and ours.tolist() == theirs.T.tolist()
    theirs[0, 1] = 9.0
    ours.data[0, 0] = 7.0
    assert ours.tolist()[1][0] == 9.0 and theirs[0, 0] == 7.0
    with pytest.raises((BufferError, RuntimeError), match="grad"):
        from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(DtypeError, match="complex64"):
        from_dlpack(torch.ones(2, dtype=torch.complex64))


def test_a_device_without_its_library_is_named():
    class Elsewhere:
        def __dlpack_device__(self):
            return 2, 0  # kDLCUDA

    if not minidl.is_available():
        with pytest.raises(BackendError, match="'cuda' is not usable"):
            from_dlpack(Elsewhere())


def test_text():
    x = tensor([1.0, 2.0], requires_grad=True)
    assert repr(tensor([[1, 2], [3, 4]])) == "tensor([[1, 2],\n        [3, 4]])"
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2.0) == "tensor([2., 4.], op=mul)"
    assert repr(tensor(0.5)) == "tensor(0.5)"
    assert repr(tensor([1.0], dtype="float64")) == "tensor([1.], dtype=float64)"
    assert repr(tensor([True])) == "tensor([ True])"
    assert str(tensor([1], dtype="int8")) == "tensor([1], dtype=int8)"
    assert len(repr(tensor(ramp(100, 100)))) < 1000


def test_numbers():
    whole, real, mask = tensor([3]), tensor(2.5), tensor([[True]])
    assert (int(whole), float(whole), whole.item()) == (3, 3.0, 3)
    assert (float(real), int(real), real.item()) == (2.5, 2, 2.5)
    assert bool(mask) and mask.item() is True and not tensor(0.0)
    assert type(real.item()) is float and type(whole.item()) is int
    assert "abcd"[whole] == "d" and "ab"[mask] == "b" and len(range(whole)) == 3
    with pytest.raises(DtypeError, match="must hold an integer; got float32"):
        [0, 1][tensor(1.0)]
    for convert in (int, float, bool, Tensor.item):
        for many in (tensor([1, 2]), tensor(np.ones((0, 2)))):
            with pytest.raises(ShapeError, match="must have 1 element; got"):
                convert(many)


def test_lists_lengths_and_iteration():
    t = tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert t.tolist() == [[1.0, 2.0], [3.0, 4.0]] and tensor(2).tolist() == 2
    assert (len(t), t.ndim, t.numel(), t.shape) == (2, 2, 4, (2, 2))
    first, second = t
    assert first.tolist() == [1.0, 2.0] and second.requires_grad
    assert minidl.grad(second.sum(), t)[0].tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert 3.0 in tensor([1.0, 3.0]) and 2.0 not in tensor([1.0, 3.0])
    assert len(tensor(np.ones((0, 2)))) == 0 and list(tensor([])) == []
    for refused in (lambda: len(tensor(1.0)), lambda: list(tensor(1.0))):
        with pytest.raises(ShapeError, match="at least 1 dimension"):
            refused()
    with pytest.raises(TypeError, match="item assignment"):
        t[0] = 1.0


def test_tensors_are_keys_by_identity():
    a, b = tensor([1.0]), tensor([1.0])
    assert {a: 1, b: 2}[a] == 1 and len({a, b, a}) == 2


def test_copies_are_leaves_of_their_own():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    duplicate, (one, two) = copy.deepcopy(x), copy.deepcopy([x, x])
    assert duplicate.requires_grad and duplicate.is_leaf and duplicate.grad is None
    assert duplicate.tolist() == x.tolist() and one is two
    assert not np.shares_memory(duplicate.data, x.data)
    with pytest.raises(GradError, match="deepcopy: tensor must be a leaf"):
        copy.deepcopy(x * 2.0)


def test_augmented_assignment_makes_a_new_tensor():
    x = y = tensor([1.0, 2.0], requires_grad=True)
    y *= 3.0
    y += x
    assert y is not x and x.tolist() == [1.0, 2.0] and y.tolist() == [4.0, 8.0]
    assert minidl.grad(y.sum(), x)[0].tolist() == [4.0, 4.0]


def test_conversions_of_type_and_place_return_the_same_tensor_where_nothing_changes():
    x = tensor([1.5, -2.5])
    assert x.to("float32") is x and x.to("cpu") is x and x.cpu() is x
    assert x.to("int64").tolist() == [1, -2] and x.to(np.float64).dtype == "float64"
    assert (x.device, x.T.tolist(), x.is_leaf) == ("cpu", [1.5, -2.5], True)


def test_numbers_are_formatted_and_none_is_no_type():
    assert f"{tensor(1.5):.3f}" == "1.500"
    assert f"{tensor(2)}" == "tensor(2)"
    with pytest.raises(DtypeError, match="got None"):
        tensor(1.0).to(None)
