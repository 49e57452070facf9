"""A stepsize forgets what it remembers for the problems of a mask, and for no other."""

import torch

from manopt_torch import ArmijoLinesearch, Euclidean, GradientDescentOptions, GradientProblem, StopAfterIteration, solve
from manopt_torch.stepsizes.renew import renew


def test_only_the_problems_of_the_mask_start_anew() -> None:
    p = GradientProblem(Euclidean(1), lambda x: 40.0 * x.square().sum(-1))
    search = ArmijoLinesearch()
    for batch in ((), (2,)):
        o = GradientDescentOptions(torch.ones(*batch, 1), stepsize=search, stop=StopAfterIteration(2))
        last = solve(p, o).memory[search]["last"]
        renew(search, p, o, torch.tensor([True, False]) if batch else False)
        if batch:
            assert o.memory[search]["last"].tolist() == [1.0, last[1].item()] and last[1] < 1
        else:
            assert o.memory[search]["last"] == last < 1
            renew(search, p, o, True)
            assert o.memory[search]["last"] == 1.0
