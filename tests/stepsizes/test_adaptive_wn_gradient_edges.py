"""The bound of adaptive WNGrad where gradients have become short: by hand on x^2 / 2, from 1."""

import pytest
import torch

from manopt_torch import (
    AdaptiveWNGradient,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    StopAfterIteration,
    get_record,
    solve,
)


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
@pytest.mark.parametrize(
    ("reduction", "least", "second"),
    [
        (0.9, 0.1, 1.5),  # 1/2 is less than 0.9: the bound falls from 2 to a third of it
        (0.9, 1.0, 1.0),  # but not below the least
        (0.5, 0.1, 1 / (2 + 0.25 / 2)),  # 1/2 is not less than 0.5: it grows by |g|^2 / bound
    ],
)
def test_the_bound_falls_where_a_gradient_is_short_but_not_below_the_least(batch, reduction, least, second):
    rule = AdaptiveWNGradient(reduction, count_threshold=1, gradient_bound=2.0, minimal_bound=least)
    x = torch.ones(*batch, 1, dtype=torch.float64)
    o = GradientDescentOptions(x, stepsize=rule, stop=StopAfterIteration(2))
    p = GradientProblem(Euclidean(1), lambda x: 0.5 * (x * x).sum(-1))
    rows = get_record(solve(p, o, record=[":Stepsize", ":Cost"]))
    for (step, _), wanted in zip(rows, (0.5, second), strict=True):
        found = torch.as_tensor(step, dtype=torch.float64)
        torch.testing.assert_close(found, torch.full(batch, wanted, dtype=torch.float64), rtol=1e-14, atol=0.0)
