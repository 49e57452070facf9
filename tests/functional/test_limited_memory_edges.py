"""The two loops without pairs, and the ratio that they give to the operator they correct."""

import pytest
import torch

from manopt_torch import Euclidean
from manopt_torch.functional.limited_memory import empty_memory, pushed, two_loop
from manopt_torch.functional.masked import lane_for

D = torch.float64


def asked(pairs, used, batch=()):
    """Return the ratio with which the initial operator is called, and the result of an operator that doubles."""
    M, x = Euclidean(2), torch.zeros(*batch, 2, dtype=D)
    steps, changes = (empty_memory(M, x, 2) for _ in range(2))
    for s, y in pairs:
        s, y = (torch.tensor(part, dtype=D).expand(*batch, 2) for part in (s, y))
        steps, changes = pushed(M, steps, s), pushed(M, changes, y)
    seen = []

    def initial(r, ratio):
        seen.append(ratio)
        return 2.0 * r

    q = torch.tensor([3.0, 4.0], dtype=D).expand(*batch, 2)
    found = two_loop(M, lane_for(M, x), x, q, steps, changes, used, initial)
    return torch.as_tensor(seen[0], dtype=D).reshape(-1)[0].item(), found.reshape(-1, 2)[0].tolist()


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_without_a_pair_the_ratio_is_one_and_the_operator_stays(batch):
    assert asked([], 0, batch) == asked([], 2, batch) == (1.0, [6.0, 8.0])
    # the newest pair has negative curvature, or none
    for y in ([-1.0, 0.0], [0.0, 5.0]):
        assert asked([([1.0, 0.0], y)], 1, batch) == (1.0, [6.0, 8.0])


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_the_ratio_is_that_of_the_newest_pair(batch):
    first, second = ([0.0, 1.0], [0.0, 0.5]), ([1.0, 0.0], [4.0, 0.0])
    # along the axes the operator is the inverse curvature of the pairs: 1 / 4 and 2
    assert asked([first, second], 2, batch) == (0.25, [0.75, 8.0])
    assert asked([second, first], 2, batch) == (2.0, [0.75, 8.0])
    # an older pair counts where the newest does not, but gives no ratio
    assert asked([second, ([0.0, 1.0], [0.0, -1.0])], 2, batch) == (1.0, [0.75, 8.0])
