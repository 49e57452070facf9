"""The known answers of the table, confirmed by means that no solver of ours takes part in."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch

from manopt_torch import CostProblem, get_cost, get_gradient
from manopt_torch.manifolds.points import leaves
from manopt_torch.testing import PROBLEMS, check_gradient, problem_named
from tests.together import together

CASES = pytest.mark.parametrize("case", PROBLEMS, ids=str)


@together()
@CASES
def test_the_minimum_is_the_cost_at_the_minimiser_where_the_gradient_vanishes(case: Any) -> None:
    problem, x, minimum, minimiser = case.pose(5)
    assert (get_cost(problem, x) > minimum + 1e-3).all(), "the start is to be somewhere else"
    if minimiser is None:
        # Rayleigh quotients: SciPy's eigenvectors
        vectors = np.stack([scipy.linalg.eigh(a)[1][:, 0] for a in problem.data[0].numpy()])
        minimiser = torch.from_numpy(vectors)
    problem.M.check_point(minimiser)
    torch.testing.assert_close(get_cost(problem, minimiser), minimum, rtol=0, atol=1e-14)
    norm = problem.M.norm(minimiser, get_gradient(problem, minimiser))
    torch.testing.assert_close(norm, torch.zeros_like(norm), rtol=0, atol=1e-13)


@together()
@CASES
def test_no_point_has_a_lower_cost(case: Any) -> None:
    problem, _, minimum, _ = case.pose(2000)
    start = case.manifold.random_point(2000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert (get_cost(problem, start) >= minimum).all()


@together()
@CASES
def test_problems_differ_within_a_batch_and_agree_between_shapes(case: Any) -> None:
    posed, wide = case.pose(6), case.pose(2, 3, dtype=torch.float32, kind=CostProblem)
    assert isinstance(wide.problem, CostProblem) and type(wide.problem) is CostProblem
    assert wide.minimum.shape == (2, 3) and wide.minimum.dtype == torch.float64
    assert all(d.dtype == torch.float32 and d.shape[:2] == (2, 3) for d in wide.problem.data)
    assert all(leaf.dtype == torch.float32 and leaf.shape[:2] == (2, 3) for leaf in leaves(wide.x))
    torch.testing.assert_close(wide.minimum.flatten(), posed.minimum)
    wide.problem.M.check_point(wide.x)
    assert len({round(float(v), 9) for v in get_cost(posed.problem, posed.x)}) == 6
    lone = case.pose()
    assert lone.minimum.shape == () and get_cost(lone.problem, lone.x).shape == ()


def test_the_geometric_mean_is_that_of_scipy() -> None:
    problem, _, _, minimiser = problem_named("mean of two matrices").pose(4)
    for a, b, mean in zip(*(d.numpy() for d in problem.data), minimiser.numpy(), strict=True):
        root = scipy.linalg.sqrtm(a)
        inverse = np.linalg.inv(root)
        np.testing.assert_allclose(mean, root @ scipy.linalg.sqrtm(inverse @ b @ inverse) @ root, atol=1e-13)


def test_mild_problems_contract_fast_with_their_step() -> None:
    for case in PROBLEMS:
        if "mild" in case.provides:
            problem, x, minimum, _ = case.pose(3)
            for _ in range(40):
                x = problem.M.retract(x, get_gradient(problem, x), -case.stepsize)
            torch.testing.assert_close(get_cost(problem, x), minimum, rtol=0, atol=1e-9)


def test_names_are_unique_and_found() -> None:
    assert len({case.name for case in PROBLEMS}) == len(PROBLEMS)
    assert all(problem_named(case.name) is case and str(case) == case.name for case in PROBLEMS)
    with pytest.raises(KeyError, match="rosenbrock"):
        problem_named("rosenbroc")


def test_another_seed_gives_other_problems() -> None:
    first, second = (
        problem_named("quadratic").pose(2, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    assert not torch.equal(first.x, second.x) and not torch.equal(first.problem.data[0], second.problem.data[0])
    assert torch.equal(first.x, problem_named("quadratic").pose(2).x)
    assert check_gradient(second.problem, second.x)
