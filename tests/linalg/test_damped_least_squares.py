"""Damped linear least squares: every way gives what NumPy's lstsq gives for the stacked system."""

import numpy as np
import pytest
import torch

from manopt_torch.linalg.damped_least_squares import by_augmented_qr, by_pseudo_inverse, by_row_space, pseudo_inverse
from tests.together import together

D = torch.float64
BATCHES = [(), (3,), (2, 3)]


def drawn(*batch, m, n, seed=0, dtype=D):
    g = torch.Generator().manual_seed(seed)
    J = torch.randn(*batch, m, n, generator=g, dtype=D)
    r = torch.randn(*batch, m, generator=g, dtype=D)
    d = 10 ** (4 * torch.rand(*batch, n, generator=g, dtype=D) - 2)
    return J.to(dtype), r.to(dtype), d.to(dtype)


def truth(J, r, d):
    flat = zip(J.reshape(-1, *J.shape[-2:]), r.reshape(-1, r.shape[-1]), d.reshape(-1, d.shape[-1]), strict=True)
    rows = [
        np.linalg.lstsq(
            np.concatenate([a.numpy(), np.diag(np.sqrt(c.numpy()))]),
            np.concatenate([-b.numpy(), np.zeros(len(c))]),
            rcond=None,
        )[0]
        for a, b, c in flat
    ]
    return torch.from_numpy(np.stack(rows)).reshape(d.shape)


@together()
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("m", "n"), [(8, 3), (3, 3), (3, 5), (1, 1)])
@pytest.mark.parametrize("way", [by_augmented_qr, by_row_space])
def test_damped(batch, m, n, way):
    J, r, d = drawn(*batch, m=m, n=n)
    torch.testing.assert_close(way(J, r, d), truth(J, r, d), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("batch", BATCHES)
def test_without_damping_qr_is_least_squares_and_rows_the_shortest_solution(batch):
    J, r, d = drawn(*batch, m=8, n=3)
    torch.testing.assert_close(by_augmented_qr(J, r, 0 * d), truth(J, r, 0 * d), rtol=1e-9, atol=1e-11)
    J, r, d = drawn(*batch, m=3, n=8)
    torch.testing.assert_close(by_row_space(J, r, 0 * d), truth(J, r, 0 * d), rtol=1e-9, atol=1e-11)


def test_rows_with_some_parameters_undamped():
    J, r, d = drawn(4, m=2, n=5)
    d[:, 1] = 0
    torch.testing.assert_close(by_row_space(J, r, d), truth(J, r, d), rtol=1e-3, atol=1e-5)


def test_qr_does_not_square_the_condition():
    """Läuchli's matrix: J'J is singular in float64, the solution is 1 for all entries."""
    eps = 1e-9
    J = torch.tensor([[1.0, 1, 1], [eps, 0, 0], [0, eps, 0], [0, 0, eps]], dtype=D)
    h = by_augmented_qr(J, -(J @ torch.ones(3, dtype=D)), torch.zeros(3, dtype=D))
    torch.testing.assert_close(h, torch.ones(3, dtype=D), rtol=1e-6, atol=0)


def test_a_problem_without_a_solution_is_nan_and_alone():
    J, r, d = drawn(3, m=5, n=3)
    J[1, :, 2] = 2 * J[1, :, 0]
    h = by_augmented_qr(J, r, 0 * d)
    assert h[1].isnan().all()
    torch.testing.assert_close(h[[0, 2]], truth(J, r, 0 * d)[[0, 2]], rtol=1e-9, atol=1e-11)
    J[1] = torch.nan
    for way in (by_augmented_qr, by_row_space):
        h = way(J, r, d)
        assert h[1].isnan().all() and torch.isfinite(h[[0, 2]]).all()


@pytest.mark.parametrize("batch", BATCHES)
def test_pseudo_inverse_gives_the_shortest_step(batch):
    J, r, _ = drawn(*batch, m=6, n=4)
    J[..., 3] = 0
    g = (J.mT @ r.unsqueeze(-1)).squeeze(-1)
    h, rank = by_pseudo_inverse(J.mT @ J, g)
    assert (rank == 3).all() and (h[..., 3] == 0).all()
    torch.testing.assert_close((J.mT @ (J @ h.unsqueeze(-1))).squeeze(-1), -g, rtol=1e-9, atol=1e-10)


def test_pseudo_inverse_does_not_depend_on_units():
    J, *_ = drawn(5, m=6, n=4)
    units = torch.tensor([1e-6, 1.0, 1e3, 1e6], dtype=D)
    inverse, rank = pseudo_inverse(J.mT @ J)
    scaled, scaled_rank = pseudo_inverse((J * units).mT @ (J * units))
    assert (rank == 4).all() and (scaled_rank == 4).all()
    torch.testing.assert_close(scaled * units * units[:, None], inverse, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(inverse, torch.linalg.inv(J.mT @ J), rtol=1e-8, atol=1e-12)


def test_pseudo_inverse_of_a_matrix_that_is_not_finite():
    H = torch.eye(3, dtype=D).repeat(2, 1, 1)
    H[0, 0, 0] = torch.inf
    inverse, rank = pseudo_inverse(H)
    assert inverse[0].isnan().all() and rank.tolist() == [0, 3] and torch.equal(inverse[1], torch.eye(3, dtype=D))
