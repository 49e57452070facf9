"""Operations on small vectors, written out number by number."""

import math

import pytest
import torch

from manopt_torch.linear_solvers.recording import recorded_for_any_size
from manopt_torch.linear_solvers.written_out import number_by_number

D = torch.float64


def columns(t):
    return t if t.dim() == 1 else t.movedim(0, -1).contiguous()


def both(fn, *tensors):
    """Return what a function of batches returns, and what it does written out, for another size than recorded."""
    graph = recorded_for_any_size(fn, tensors, [0] * len(tensors))
    some = [t[:3] for t in tensors]
    found = number_by_number(graph)(*map(columns, some))
    wanted = [columns(t) for t in fn(*some)]
    return [t if t.dim() == 1 else t.flatten(0, -2) for t in wanted], found


def test_numbers_written_out_are_those_of_the_vectors():
    g = torch.Generator().manual_seed(0)
    A, x, s = (torch.randn(5, *shape, generator=g, dtype=D) for shape in ((3, 3), (3,), ()))
    x[1, 2], s[0], s[1] = math.nan, math.inf, -math.inf
    mask = torch.tensor([True, False, True, True, False])

    def fn(A, x, s, mask):
        H = (A + A.mT) * torch.tensor([1.0, 2.0, 3.0], dtype=D)
        rows = torch.stack([H[..., i, i] - s for i in range(3)], -1)
        chosen = torch.where((mask & (x[..., 0] > 0)).unsqueeze(-1), x, 2.0 * rows)
        best = torch.maximum(H.abs().amax(-1), torch.full_like(x, 0.5)).sum(-1)
        either = torch.gt(mask, x[..., 1] < 0) | torch.logical_not(mask)
        clean = torch.nan_to_num(x, nan=0.0), torch.nan_to_num(s, nan=7.0, posinf=math.inf, neginf=-1.0)
        whole = torch.cat([x, H.diagonal(dim1=-2, dim2=-1), s.unsqueeze(-1)], -1)
        return [H, chosen, best, either, *clean, whole, H.transpose(-1, -2)[..., 1:, :], torch.ones_like(s)]

    wanted, found = both(fn, A, x, s, mask)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


def test_masks_of_a_narrow_type_choose_among_wide_numbers():
    x, y = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=D)

    def fn(x, y):
        small = (x > 0) & (y[..., 0] < 4)
        return [torch.where(small, x, -x), torch.where(small.unsqueeze(-1), y, 0.0), torch.where(small, x > 2, x < 0)]

    wanted, found = both(fn, x, y)
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype


def test_an_operation_without_a_rule_is_refused():
    graph = recorded_for_any_size(lambda x: [torch.cumsum(x, -1)], [torch.ones(4, 2)], [0])
    with pytest.raises(NotImplementedError, match="cumsum"):
        number_by_number(graph)(torch.ones(2, 4))
