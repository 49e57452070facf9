"""The Schur complement: what a dense solve gives, to rounding."""

import pytest
import torch

from manopt_torch.linalg.schur import rows_touch_one_block, solve_by_schur_complement, two_blocks
from tests.together import together

D = torch.float64


def jacobian(*batch, first=4, blocks=6, size=3, rows=5, seed=0):
    """Return a Jacobian whose rows touch the first parameters and one block each, `rows` for each block."""
    g = torch.Generator().manual_seed(seed)
    m = blocks * rows
    head = torch.randn(*batch, m, first, generator=g, dtype=D)
    tail = torch.zeros(*batch, m, blocks, size, dtype=D)
    for k in range(blocks):
        tail[..., k * rows : (k + 1) * rows, k, :] = torch.randn(*batch, rows, size, generator=g, dtype=D)
    return torch.cat([head, tail.flatten(-2)], -1)


@together()
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("size", [1, 3])
def test_equal_to_a_dense_solve(batch, size):
    J = jacobian(*batch, size=size)
    H = J.mT @ J
    A, B, C = two_blocks(J, 6, size)
    torch.testing.assert_close(A, H[..., :4, :4], rtol=0, atol=1e-12)
    torch.testing.assert_close(B.flatten(-2), H[..., :4, 4:], rtol=0, atol=1e-12)
    g = torch.randn(*batch, J.shape[-1], dtype=D, generator=torch.Generator().manual_seed(1))
    step = solve_by_schur_complement(A, B, C, g[..., :4], g[..., 4:].unflatten(-1, (6, size)))
    torch.testing.assert_close(step, -torch.linalg.solve(H, g), rtol=1e-9, atol=1e-11)


def test_a_matrix_that_is_not_definite_is_nan_and_alone():
    A, B, C = two_blocks(jacobian(3), 6, 3)
    A[1] = -A[1]
    C[2, 4] = 0
    step = solve_by_schur_complement(A, B, C, torch.ones(3, 4, dtype=D), torch.ones(3, 6, 3, dtype=D))
    assert torch.isfinite(step[0]).all() and step[1].isnan().any() and step[2].isnan().any()


def test_structure_is_recognised():
    J = jacobian(2)
    assert rows_touch_one_block(J, 6, 3).tolist() == [True, True]
    J[1, 0, -1] = 1.0
    assert rows_touch_one_block(J, 6, 3).tolist() == [True, False]
    assert rows_touch_one_block(J, 1, 18).tolist() == [True, True]
