"""Batches of arrays, functions and loaders."""

from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from manopt_torch import BatchSource, OptionsError, ShapeError, build, minimize
from tests.together import together

DATA = torch.arange(40).reshape(40, 1)


def rows(batch):
    return batch[0].flatten().tolist()


def test_sizes_and_order():
    source = BatchSource(DATA, 11, seed=4)
    first = [rows(b) for b in source]
    assert sorted(map(len, first)) == [7, 11, 11, 11] and len(source) == 4
    assert sorted(chain(*first)) == list(range(40))
    assert all(b == list(range(b[0], b[0] + len(b))) for b in first)  # pieces stay together
    later = [[rows(b) for b in source] for _ in range(6)]
    assert any(epoch != first for epoch in later)
    assert [rows(b) for b in BatchSource(DATA, 11, seed=4)] == first


def test_rows_are_shuffled_together():
    source = BatchSource([DATA, 2 * DATA], 16, shuffle="rows")
    epochs = [[(rows((a,)), rows((b,))) for a, b in source] for _ in range(2)]
    assert all(b == [2 * v for v in a] for epoch in epochs for a, b in epoch)
    seen = [list(chain(*(a for a, _ in epoch))) for epoch in epochs]
    assert seen[0] != seen[1] and sorted(seen[0]) == sorted(seen[1]) == list(range(40))


def test_an_epoch_goes_on_where_the_last_has_stopped():
    source = BatchSource(DATA, 10, 3, shuffle=False)
    assert [[b[0] for b in map(rows, source)] for _ in range(3)] == [[0, 10, 20], [30, 0, 10], [20, 30, 0]]


@pytest.mark.parametrize("size", [None, 0, -1, 100])
def test_one_batch(size):
    assert [len(rows(b)) for b in BatchSource(DATA, size)] == [40]


def test_other_axes():
    (batch,) = next(iter(BatchSource(DATA.T, 8, axis=1, shuffle=False)))
    assert batch.shape == (1, 8)


def test_functions():
    source = BatchSource(lambda: (np.ones(2), 3), batches=4)
    assert len(source) == 4 and [b[1] for b in source] == [3] * 4
    assert isinstance(next(iter(source))[0], torch.Tensor)
    assert len(BatchSource(lambda: None)) == 100 and next(iter(BatchSource(lambda: None))) == ()


def test_nothing():
    assert list(BatchSource([])) == [()] == list(BatchSource(None))


def test_arrays_that_cannot_be_written():
    array = np.arange(4.0)
    array.flags.writeable = False
    assert next(iter(BatchSource([array])))[0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("inputs", "keywords", "error", "match"),
    [
        ([torch.ones(3), torch.ones(4)], {}, ShapeError, "equal lengths"),
        ([torch.ones(())], {}, ShapeError, "axis 0"),
        ([torch.ones(0, 3)], {}, ShapeError, "equal lengths"),
        (torch.ones(3), {"shuffle": "cards"}, OptionsError, "'cards'"),
        (torch.ones(3), {"batches": 0}, OptionsError, "batches must be an int >= 1"),
        (torch.ones(3), {"batches": 1.5}, OptionsError, "batches must be an int >= 1"),
        (torch.ones(3), {"batch_size": 1.5}, OptionsError, "batch_size must be an int, got 1.5"),
        (torch.ones(3), {"seed": "now"}, OptionsError, "seed must be an int, got 'now'"),
    ],
)
def test_wrong_data(inputs, keywords, error, match):
    with pytest.raises(error, match=match):
        BatchSource(inputs, **keywords)


# ---- in minimize and iterate ----------------------------------------------------------------------------------------
def seen_by(train, entry="minimize", **keywords):
    x, seen = torch.zeros((), requires_grad=True), []

    def loss(*batch):
        if torch.is_grad_enabled():
            seen.append(batch)
        return x * x

    opt = build("sgd", loss, [x])
    if entry == "minimize":
        opt.minimize(train, max_updates=1, **keywords)
    else:
        list(opt.iterate(train, max_updates=1, **keywords))
    return seen


Y = np.arange(6.0).reshape(3, 2)
SHAPES = [
    ("minimize", [Y], [((3, 2),)]),
    ("minimize", Y, [((3, 2),)]),
    ("minimize", [Y, Y[:, 0]], [((3, 2), (3,))]),
    ("minimize", [], [()]),
    ("minimize", None, [()]),
    ("minimize", [[]], [()]),
    ("minimize", [[Y], [Y]], [((3, 2),), ((3, 2),)]),
    ("iterate", [[Y]], [((3, 2),)]),
    ("iterate", [[]], [()]),
    ("iterate", [[Y, Y], (Y,)], [((3, 2), (3, 2)), ((3, 2),)]),
    ("iterate", torch.from_numpy(Y), [((3, 2),)]),
    ("iterate", None, [()]),
]


@together()
@pytest.mark.parametrize(("entry", "train", "shapes"), SHAPES)
def test_arguments_of_the_loss(entry, train, shapes):
    assert [tuple(tuple(part.shape) for part in batch) for batch in seen_by(train, entry)] == shapes


@pytest.mark.parametrize("entry", ["minimize", "iterate"])
def test_loaders(entry):
    loader = DataLoader(TensorDataset(DATA, DATA), batch_size=16)
    assert [len(a) for a, _ in seen_by(loader, entry)] == [16, 16, 8]
    assert [len(a) for a, _ in seen_by(loader, entry, train_batches=2)] == [16, 16]
    assert sorted(len(a) for a, _ in seen_by(TensorDataset(DATA, DATA), entry, batch_size=25)) == [15, 25]
    assert len(seen_by(lambda: (DATA, 0), entry, train_batches=7)) == 7
    assert len(seen_by(BatchSource(DATA, 10, 3), entry)) == 3


def test_data_that_can_be_walked_once_are_refused():
    with pytest.raises(OptionsError, match="cannot be walked again"):
        seen_by((batch for batch in [[Y]]), "iterate")
    with pytest.raises(OptionsError, match="there is no batch"):
        seen_by([], "iterate")
    with pytest.raises(OptionsError, match="type int"):
        seen_by(3)


def test_validation_leaves_the_order_of_training_alone():
    x = torch.zeros((), requires_grad=True)
    orders = []
    for every in (1, 100):
        seen = []

        def loss(z, seen=seen):
            if torch.is_grad_enabled():
                seen.append(z[0].item())
            return x * x

        minimize(loss, DATA, params=[x], batch_size=4, max_updates=4, validate_every=every, patience=99)
        orders.append(seen)
    assert orders[0] == orders[1]
