"""Rules of conjugate gradients where a comparison is met with equality, and where a bound or a sign decides."""

import pytest
import torch

from manopt_torch import (
    BealeRestartCoefficient,
    DaiYuanCoefficient,
    Euclidean,
    FletcherReevesCoefficient,
    HagerZhangCoefficient,
    HestenesStiefelCoefficient,
    HybridCoefficient,
    OptionsError,
    RestartOnNonSufficientDescent,
    Sphere,
)
from tests.conjugacy.test_coefficients import D, plane, situation


def rows(*values):
    return [torch.tensor(v, dtype=D) for v in values]


@pytest.mark.parametrize(("eta", "bound"), [(0.01, -1 / (5 * 0.003)), (0.001, -1 / (5 * 0.001))])
def test_the_bound_of_hager_and_zhang_knows_the_length_of_the_gradient_itself(eta, bound):
    # |g| = 0.003, |delta| = 5; the other term is far below: <y, d> is small, <y, P y> large
    g, d, g_new = rows([0.003, 0.0], [3.0, 4.0], [1e3, -749.0])
    for precondition in (None, lambda x, u: 4.0 * u):
        p, o = situation(Euclidean(2), torch.zeros(2, dtype=D), g, d, torch.ones(2, dtype=D), g_new, precondition)
        assert HagerZhangCoefficient(eta=eta)(p, o, 1) == pytest.approx(bound, rel=1e-12)


def test_the_smaller_of_two_coefficients_counts_in_either_order():
    p, o = plane()
    for rule in (DaiYuanCoefficient(), HestenesStiefelCoefficient()):  # 3.25 and 0.75
        assert HybridCoefficient(rule, FletcherReevesCoefficient())(p, o, 1) == min(rule(p, o, 1), 1.625)


def test_both_parts_of_a_hybrid_must_be_coefficients():
    for parts in ((0.5, FletcherReevesCoefficient()), (FletcherReevesCoefficient(), 0.5)):
        with pytest.raises(OptionsError, match="must be a coefficient"):
            HybridCoefficient(*parts)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gradients_on_powells_bound_are_orthogonal_enough(sign):
    # <g_+, g> = 2 and |g_+|^2 = 4
    g, d, g_new = rows([sign, 1.0], [-1.0, 0.0], [2.0, 0.0])
    p, o = situation(Euclidean(2), torch.zeros(2, dtype=D), g, d, torch.ones(2, dtype=D), g_new)
    for threshold, beta in ((0.5, 2.0), (0.4999, 0.0)):
        assert BealeRestartCoefficient(FletcherReevesCoefficient(), threshold)(p, o, 1) == beta
    assert BealeRestartCoefficient(FletcherReevesCoefficient(), 0.05).threshold == 0.05


def test_a_function_as_coefficient_is_taken_to_make_directions_conjugate():
    assert BealeRestartCoefficient(lambda p, o, i: 0.5).makes_conjugate  # pyright: ignore
    assert HestenesStiefelCoefficient().makes_conjugate and not DaiYuanCoefficient().makes_conjugate


def test_descent_on_the_bound_is_sufficient():
    p, o = plane()
    q = o.proposal
    q.square = 4.0
    for kappa in (0.25, 1.0):  # one is in the range
        for slope, again in ((-4.0 * kappa, False), (-3.999 * kappa, True)):
            q.slope = slope
            assert RestartOnNonSufficientDescent(kappa)(p, o, 1) is again


class Weighted(Sphere):
    """A sphere with a metric for which its projection is not orthogonal."""

    is_embedded = False

    def inner(self, x, u, v):
        return (torch.arange(1.0, 5.0, dtype=D) * u * v).sum(-1)

    def inner_at(self, x):
        return lambda u, v: self.inner(x, u, v)


def test_in_a_metric_of_its_own_the_gradient_is_carried_before_it_is_multiplied():
    x, y, g, g_new = rows([1.0, 0, 0, 0], [0, 0.6, 0.8, 0], [0, 2.0, 0.0, 1.0], [3.0, 0.8, -0.6, 1.0])
    p, o = situation(Weighted(4), x, g, -g, y, g_new)
    # T g = g - <g, y> y = (0, 1.28, -0.96, 1)
    assert o.proposal.mixed(p, o) == pytest.approx(2 * 0.8 * 1.28 + 3 * 0.6 * 0.96 + 4.0, rel=1e-14)
