"""Every manifold: a problem of a batch comes out in the same bits whoever its neighbours are."""

from functools import partial
from typing import Any

import pytest
import torch

from manopt_torch.manifolds import Manifold
from manopt_torch.manifolds.points import first_leaf, leaves, map_leaves
from tests.contracts.manifold_cases import TORCH_WARNINGS, assert_close, calls, every_manifold, sample
from tests.together import together

pytestmark = TORCH_WARNINGS


def rows_of(tree: Any, rows: slice) -> Any:
    return map_leaves(lambda leaf: leaf[rows], tree)


# seven rows: no multiple of the width of vector units, whose last few entries some kernels treat apart
@together("dtype")
@every_manifold
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_rows_do_not_depend_on_their_neighbours(M: Manifold, dtype: torch.dtype) -> None:
    s = sample(M, 7, dtype=dtype)
    different = set()
    for name, arguments in calls(M, s).items():
        whole = getattr(M, name)(*arguments)
        for rows in (slice(0, 2), slice(4, 7)):
            part = getattr(M, name)(*(rows_of(a, rows) for a in arguments))
            if first_leaf(s.x).is_complex():  # torch rounds the last few products of complex numbers in another way
                assert_close(part, rows_of(whole, rows), 100 * torch.finfo(dtype).eps)
                continue
            pairs = zip(leaves(rows_of(whole, rows)), leaves(part), strict=True)
            if not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs):
                different.add(name)
    assert not different


@every_manifold
def test_a_row_of_nan_leaves_the_others_alone(M: Manifold) -> None:
    s = sample(M, 7, dtype=torch.float64)
    cases = {name: (getattr(M, name), arguments) for name, arguments in calls(M, s).items()}
    for method in M.retractions:
        cases[f"retract {method}"] = partial(M.retract, method=method), (s.x, s.u)
    for method in M.inverse_retractions:
        cases[f"inverse_retract {method}"] = partial(M.inverse_retract, method=method), (s.x, s.y)
    different = set()
    for name, (call, arguments) in cases.items():
        broken = [map_leaves(lambda leaf: leaf.index_fill(0, torch.tensor([3]), torch.nan), a) for a in arguments]
        pairs = zip(leaves(call(*arguments)), leaves(call(*broken)), strict=True)
        if not all(torch.equal(_reals(a)[[0, 1, 2, 4, 5, 6]], _reals(b)[[0, 1, 2, 4, 5, 6]]) for a, b in pairs):
            different.add(name)
    assert not different


# a step by hand, outside of `solve`, is the same step
@every_manifold
def test_values_do_not_depend_on_whether_derivatives_may_be_asked_for(M: Manifold) -> None:
    for batch in ((), (3,)):
        s = sample(M, *batch, dtype=torch.float64)
        different = set()
        for name, arguments in calls(M, s).items():
            with torch.no_grad():
                without = getattr(M, name)(*arguments)
            pairs = zip(leaves(without), leaves(getattr(M, name)(*arguments)), strict=True)
            if not all(torch.equal(_reals(a), _reals(b)) for a, b in pairs):
                different.add(name)
        assert not different


def _reals(value: torch.Tensor) -> torch.Tensor:
    return (torch.view_as_real(value.resolve_conj()) if value.is_complex() else value).nan_to_num()
