"""Truncated conjugate gradients on a tangent space where there is no direction to begin with."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    Euclidean,
    HessianProblem,
    StopAfterIteration,
    TruncatedConjugateGradientOptions,
    get_reason,
    solve,
)

F64 = torch.float64


@pytest.mark.parametrize("batch", [(), (2,)], ids=["alone", "batch"])
@pytest.mark.parametrize("multiple", [1.0, 0.0, -1.0, float("nan")], ids=["flat", "zero", "negative", "NaN"])
def test_the_vector_stays_zero(batch: Any, multiple: float) -> None:
    """At a minimum, and for a preconditioner that is not positive, whatever the criterion asks for."""
    x = torch.zeros(*batch, 2, dtype=F64) if multiple == 1.0 else torch.ones(*batch, 2, dtype=F64)
    problem = HessianProblem(Euclidean(2), lambda x: (x * x).sum(-1), preconditioner=lambda x, u: multiple * u)
    o = solve(problem, TruncatedConjugateGradientOptions(x, trust_region_radius=1.0, stop=StopAfterIteration(5)))
    assert torch.equal(o.eta, torch.zeros_like(x))
    assert torch.equal(torch.as_tensor(o.model), o.cost)
    assert torch.as_tensor(o.iterations).eq(1).all()
    assert "stagnated" in (get_reason(o)[0] if batch else get_reason(o))


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_a_neighbour_whose_preconditioner_is_not_positive(bad: float) -> None:
    """Its vector stays zero, and the other problem gets the minimiser of its model in one step."""
    x = torch.ones(2, 2, dtype=F64)
    scale = torch.tensor([[bad], [1.0]], dtype=F64)
    problem = HessianProblem(Euclidean(2), lambda x: (x * x).sum(-1), preconditioner=lambda x, u: scale * u)
    o = solve(problem, TruncatedConjugateGradientOptions(x, trust_region_radius=5.0, stop=StopAfterIteration(5)))
    assert torch.equal(o.eta, torch.tensor([[0.0, 0.0], [-1.0, -1.0]], dtype=F64))
