"""Cubic models in Krylov spaces: the vectors themselves, when they end, and how far a model is solved."""

from dataclasses import replace

import pytest
import torch

from manopt_torch.functional.lanczos import Krylov, minimize_cubic
from manopt_torch.functional.masked import Batch, Lone
from tests.functional.test_truncated_cg import matrices, model

D = torch.float64


class Counting(Lone):
    """A lane that counts how often it is asked whether to go on."""

    __slots__ = ("asked",)

    def __init__(self):
        Lone.__init__(self)
        self.asked = 0

    def any(self, mask):
        self.asked += 1
        return mask


def test_the_matrix_is_tridiagonal_in_vectors_that_stay_orthogonal():
    # eigenvalues far apart: the recurrence of three terms alone loses the orthogonality
    a = torch.diag(torch.logspace(-4, 4, 12, dtype=D))
    krylov = Krylov(Lone(), model(a, torch.ones(12, dtype=D)))
    for _ in range(8):
        krylov.grow(True)
    Q = torch.stack(krylov.vectors)
    torch.testing.assert_close(Q @ Q.mT, torch.eye(8, dtype=D), rtol=0, atol=1e-9)
    beside = torch.tensor(krylov.beside[:-1], dtype=D)
    T = torch.diag(torch.tensor(krylov.diagonal, dtype=D)) + torch.diag(beside, 1) + torch.diag(beside, -1)
    torch.testing.assert_close(Q @ a @ Q.mT, T, rtol=1e-9, atol=1e-8)
    assert torch.equal(Q[0], torch.ones(12, dtype=D) / 12**0.5)


def test_two_vectors_are_orthogonal_already():
    a, g = matrices()
    krylov = Krylov(Lone(), model(a, g))
    krylov.grow(True)
    krylov.grow(True)
    assert abs((krylov.vectors[0] @ krylov.vectors[1]).item()) < 1e-15


def test_a_space_that_is_exhausted_gives_finite_vectors():
    # the gradient is an eigenvector: nothing is left over after one product
    g = torch.tensor([[2.0, 0.0], [0.0, 0.5]], dtype=D)
    m = model(torch.eye(2, dtype=D).expand(2, 2, 2), g)
    krylov = Krylov(Batch((2,), g), m)
    for _ in range(3):
        krylov.grow(torch.tensor([True, True]))
    assert all(bool(torch.isfinite(v).all()) for v in krylov.vectors)
    assert [beside.tolist() for beside in krylov.beside] == [[0.0, 0.0]] * 3
    # small, but not zero: a vector of its own
    tiny = Krylov(Lone(), model(torch.eye(2, dtype=D), 1e-9 * g[0]))
    tiny.grow(True)
    assert tiny.vectors[0].tolist() == pytest.approx([1.0, 0.0], rel=1e-15)


def test_problems_that_do_not_run_keep_their_vector():
    a, g = matrices(2)
    krylov = Krylov(Batch((2,), g), model(a, g))
    krylov.grow(torch.tensor([True, True]))
    krylov.grow(torch.tensor([True, False]))
    first, second = krylov.vectors
    assert torch.equal(first[1], second[1]) and not torch.equal(first[0], second[0])
    idle = Krylov(Batch((2,), g), model(a, g))
    idle.grow(torch.tensor([True, False]))
    assert not idle.vectors[0][1].any()


@pytest.mark.parametrize("most", [1, 4])
def test_questions_to_the_host(most):
    a, g = matrices(shift=9.0)

    def asked(active):
        lane = Counting()
        found = minimize_cubic(lane, model(a, g), 1.0, active, 1e-12, most)
        return lane.asked, found

    count, found = asked(False)
    assert count == 1 and not found.u.any() and found.count == 0 and not found.unsolved
    assert asked(True)[1].count == most and asked(True)[1].unsolved


def test_the_length_of_the_gradient_may_be_known():
    a, g = matrices()
    m = model(a, g)
    assert Krylov(Lone(), replace(m, norm=7.0)).gamma == 7.0
    assert Krylov(Lone(), m).gamma == pytest.approx(g.norm().item(), rel=1e-15)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("sigma", [1e-6, 1.0, 1e4])
def test_a_model_is_solved_until_its_gradient_is_small_and_no_further(scale, sigma):
    a, g = matrices(n=30, shift=16.0)
    a, g, theta = scale * a, scale * g, 0.05

    def left(most):
        u = minimize_cubic(Lone(), model(a, g), sigma, True, theta, most).u
        return (a @ u + g + sigma * u.norm() * u).norm().item(), theta * min(u.norm().item() ** 2, g.norm().item())

    found = minimize_cubic(Lone(), model(a, g), sigma, True, theta, 30)
    rest, bound = left(30)
    assert rest <= bound * (1 + 1e-6) and not found.unsolved
    for most in range(1, int(found.count)):
        rest, bound = left(most)
        assert rest > bound
