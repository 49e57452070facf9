"""A thousand random small problems with traps in them: each run ends within its budget, with a reason and a point."""

from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from manopt_torch import StopAfterIteration, StopWhenGradientNormLess, get_cost, get_reason, solve
from tests.contracts.solver_table import at, finite, same_bits, sub_problem
from tests.strategies import MANIFOLDS, SOLVERS, random_problems

EXAMPLES, SIZE, BUDGET = 3, 40, 5  # for each of nine kinds of solvers: 1080 problems


@pytest.mark.parametrize("kind", SOLVERS)
def test_every_run_ends_with_a_reason_and_a_finite_point(kind: str) -> None:
    first = 2 * list(SOLVERS).index(kind)  # every kind is to see other manifolds first

    # a batch does not get clearer by being shrunk
    @settings(max_examples=EXAMPLES, phases=[Phase.generate])
    @given(
        st.sampled_from(MANIFOLDS[first:] + MANIFOLDS[:first]),
        SOLVERS[kind],
        st.integers(0, 2**20),
        st.integers(0, SIZE - 1),
    )
    def runs_end(M: Any, options: Any, seed: int, lone: int) -> None:
        problem, x = random_problems(M, SIZE, seed)
        for p, start in ((problem, x), sub_problem(problem, x, lone)):
            check_run(M, p, start, options)

    runs_end()


def check_run(M: Any, p: Any, x: Any, options: Any) -> None:
    steps: list[int] = []
    o = options(x, stop=StopAfterIteration(BUDGET) | StopWhenGradientNormLess(1e-6))
    solve(p, o, debug=lambda p, o, i: steps.append(i) if i > 0 else None)
    iterations = torch.as_tensor(o.iterations)
    assert len(steps) <= BUDGET and (iterations <= BUDGET).all()
    assert (torch.as_tensor(o.reason_code) != 0).all() and get_reason(o)
    assert finite((o.x, o.cost, o.gradient))
    assert (M.off_manifold(o.x) <= 1e-8).all()
    assert same_bits(o.cost, get_cost(p, o.x))
    assert same_bits(at(o.x, iterations == 0), at(x, iterations == 0)), "who made no step is still at the start"
