"""Euclidean space: scalars, matrices, and what is no point."""

import math

import pytest
import torch

from manopt_torch.errors import NotOnManifoldError, OptionsError
from manopt_torch.manifolds import Euclidean


def test_norms_are_frobenius_norms() -> None:
    x = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    M = Euclidean(2, 2)
    assert M.dist(x, 0 * x) == 5
    assert M.inner(x, x, x) == 25
    assert (M.dim, M.typical_dist, M.injectivity_radius()) == (4, 2.0, math.inf)


def test_scalars_are_points() -> None:
    M = Euclidean()
    x = torch.tensor([1.0, -2.0])
    assert M.batch_shape(x) == (2,)
    assert M.norm(x, x).tolist() == [1.0, 2.0]
    assert M.retract(x, x, torch.tensor([0.5, 2.0])).tolist() == [1.5, -6.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_no_point(value: float) -> None:
    for M in (Euclidean(), Euclidean(2)):
        x = torch.zeros(3, *M.point_shape)
        x[1] = value
        with pytest.raises(NotOnManifoldError, match=r"\[\(1,\)\]"):
            M.check_point(x)


def test_sizes_are_checked() -> None:
    with pytest.raises(OptionsError, match=r"Euclidean\(3, 0\): sizes are integers of at least 1"):
        Euclidean(3, 0)
