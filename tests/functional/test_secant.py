"""Secant formulas against dense algebra: the equation, duality, the combination of two, the best condition."""

import pytest
import torch

from manopt_torch.functional.secant import broyden_update, davidon_phi, rank_one_update, solved, times

D = torch.float64


def drawn(n: int = 4, batch: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return positive definite matrices A and vectors u, v with positive products."""
    g = torch.Generator().manual_seed(0)
    Q, R = (torch.randn(batch, n, n, dtype=D, generator=g) for _ in range(2))
    eye = torch.eye(n, dtype=D)
    u = torch.randn(batch, n, dtype=D, generator=g)
    return Q @ Q.mT + 0.3 * eye, u, times(R @ R.mT + 0.1 * eye, u)


def bfgs(H: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The inverse update as the textbooks write it."""
    rho = 1 / (s * y).sum(-1)[:, None, None]
    s, y = s[..., None], y[..., None]
    V = torch.eye(H.shape[-1], dtype=D) - rho * y @ s.mT
    return V.mT @ H @ V + rho * s @ s.mT


def dfp(H: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    s, y = s[..., None], y[..., None]
    Hy = H @ y
    return H - Hy @ Hy.mT / (y.mT @ Hy) + s @ s.mT / (s.mT @ y)


@pytest.mark.parametrize("phi", [0.0, 0.3, 1.0])
def test_the_inverse_family_combines_the_two_textbook_updates(phi: float) -> None:
    H, y, s = drawn()
    found = broyden_update(H, y, s, 1.0 - phi)
    torch.testing.assert_close(found, (1 - phi) * bfgs(H, s, y) + phi * dfp(H, s, y), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(times(found, y), s, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(found, found.mT, rtol=0, atol=1e-12)
    assert (torch.linalg.eigvalsh(found) > 0).all()


@pytest.mark.parametrize(("direct", "inverse"), [(0.0, 1.0), (1.0, 0.0)], ids=["bfgs", "dfp"])
def test_updates_of_hessian_and_inverse_are_inverse_to_each_other(direct: float, inverse: float) -> None:
    B, s, y = drawn()
    H = torch.linalg.inv(B)
    torch.testing.assert_close(
        broyden_update(B, s, y, direct) @ broyden_update(H, y, s, inverse),
        torch.eye(4, dtype=D).expand(6, 4, 4),
        rtol=0,
        atol=1e-10,
    )


@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])  # of the matrix: for the first and the last, BFGS is not enough
def test_davidon_s_choice_has_the_least_condition_number(size: float) -> None:
    A, u, v = drawn()
    A = size * A

    def condition(phi: torch.Tensor) -> torch.Tensor:
        eigenvalues = torch.linalg.eigvals(torch.linalg.solve(A, broyden_update(A, u, v, phi))).real
        ratio = eigenvalues.amax(-1) / eigenvalues.amin(-1)
        return torch.where(eigenvalues.amin(-1) > 0, ratio, torch.inf)

    best = torch.stack([condition(torch.full((6,), phi)) for phi in torch.linspace(-1, 3, 401).tolist()]).amin(0)
    phi = davidon_phi(A, u, v)
    assert (condition(phi) <= best * (1 + 1e-12)).all() and (condition(phi) > 0.9 * best).all()
    # by the inverse matrices it is the same update
    H = torch.linalg.inv(A)
    other = torch.linalg.inv(broyden_update(H, v, u, davidon_phi(H, v, u)))
    torch.testing.assert_close(other, broyden_update(A, u, v, phi), rtol=1e-8, atol=1e-8)
    # a matrix that fits already is left alone
    torch.testing.assert_close(broyden_update(A, u, times(A, u), davidon_phi(A, u, times(A, u))), A)
    # also where rounding finds it a little beyond: of one unknown, c may come out smaller than a
    numbers = torch.rand(1000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    A, u = numbers[:, :1, None], numbers[:, 1:]
    assert davidon_phi(A, u, times(A, u)).isfinite().all()


def test_rank_one_learns_a_quadratic_from_as_many_steps_as_unknowns() -> None:
    truth, *_ = drawn()
    A, g = torch.eye(4, dtype=D).expand(6, 4, 4), torch.Generator().manual_seed(1)
    for _ in range(4):
        u = torch.randn(6, 4, dtype=D, generator=g)
        A, safe = rank_one_update(A, u, times(truth, u), 1e-8)
        assert safe.all()
    torch.testing.assert_close(A, truth, rtol=1e-8, atol=1e-8)
    same, safe = rank_one_update(A, u, times(A, u), 0.0)
    assert not safe.any() or torch.allclose(same, A)
    z = torch.tensor([[1.0, 0.0]], dtype=D)  # orthogonal to u
    assert not rank_one_update(torch.eye(2, dtype=D)[None], z.flip(-1), z.flip(-1) + z, 1e-8)[1].any()


@pytest.mark.parametrize(("cosine", "safe"), [(0.31, True), (0.29, False), (-0.31, True), (-0.29, False)])
@pytest.mark.parametrize("lengths", [(1.0, 1.0), (1e-3, 50.0)])
def test_rank_one_is_safe_where_z_is_not_nearly_orthogonal_to_u(cosine, safe, lengths) -> None:
    A = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=D)
    u = lengths[0] * torch.tensor([1.0, 0.0], dtype=D)
    z = lengths[1] * torch.tensor([cosine, (1 - cosine**2) ** 0.5], dtype=D)
    found, told = rank_one_update(A, u, times(A, u) + z, 0.3)
    assert bool(told) is safe
    if safe:
        torch.testing.assert_close(times(found, u), times(A, u) + z, rtol=1e-12, atol=1e-12)


def test_products_and_solutions_round_alike_alone_and_in_a_batch() -> None:
    A, u, v = drawn()
    for j in range(6):
        assert torch.equal(times(A, u)[j], times(A[j], u[j]))
        assert torch.equal(solved(A, v)[j], solved(A[j], v[j]))
        assert torch.equal(broyden_update(A, u, v, 0.3)[j], broyden_update(A[j], u[j], v[j], 0.3))
    assert not torch.isfinite(solved(torch.zeros(2, 2, dtype=D), torch.ones(2, dtype=D))).all()
