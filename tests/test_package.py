"""What ``import minidl`` offers."""

import pytest

import minidl


def test_rooms_open_when_used():
    model = minidl.nn.Sequential(minidl.nn.Flatten(), minidl.nn.Linear(4, 2))
    assert minidl.summary(model, (1, 2, 2)).total.parameters == 10
    assert minidl.optim.SGD(model.parameters(), lr=0.1).param_groups[0]["lr"] == 0.1
    assert minidl.data.DataLoader and minidl.train.Trainer and minidl.testing.gradcheck


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'conv9d'"):
        minidl.conv9d


def test_generator_state_continues_and_seeds_repeat():
    minidl.manual_seed(7)
    first = minidl.random.generator().random(3).tolist()
    state = minidl.random.get_state()
    second = minidl.random.generator().random(3).tolist()
    minidl.random.set_state(state)
    assert minidl.random.generator().random(3).tolist() == second != first
    minidl.manual_seed(7)
    assert minidl.random.generator().random(3).tolist() == first


def test_manual_seed_refuses_what_is_no_seed():
    for seed in (-1, 1.5, "seven"):
        with pytest.raises(minidl.MinidlError, match="manual_seed: seed must be"):
            minidl.manual_seed(seed)
