"""Every manifold: a problem of a batch comes out in the same bits whoever its neighbours are."""

from typing import Any

import pytest
import torch

from manopt_torch.manifolds import Manifold
from manopt_torch.manifolds.points import first_leaf, leaves, map_leaves
from tests.contracts.manifold_cases import TORCH_WARNINGS, assert_close, calls, every_manifold, sample

pytestmark = TORCH_WARNINGS


def rows_of(tree: Any, rows: slice) -> Any:
    return map_leaves(lambda leaf: leaf[rows], tree)


# seven rows: no multiple of the width of vector units, whose last few entries some kernels treat apart
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
