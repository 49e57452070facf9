"""Orders of evaluation: permutations, determined by seed and cycle alone."""

import pytest
import torch

from manopt_torch import EvalOrder, FixedRandomEvalOrder, LinearEvalOrder, OptionsError, RandomEvalOrder
from tests.together import together

ORDERS = [LinearEvalOrder(), RandomEvalOrder(), RandomEvalOrder(7), FixedRandomEvalOrder(), FixedRandomEvalOrder(7)]


@together()
@pytest.mark.parametrize("order", ORDERS, ids=repr)
@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_every_cycle_visits_each_part_once(order, n):
    for i in range(4):
        assert sorted(order(n, i)) == list(range(n))


@pytest.mark.parametrize("order", ORDERS, ids=repr)
def test_orders_do_not_depend_on_what_was_asked_before_or_on_the_global_seed(order):
    former = order(9, 3)
    torch.manual_seed(1)
    order(9, 1)
    assert order(9, 3) == former
    assert torch.initial_seed() == 1


def test_linear():
    assert LinearEvalOrder()(4, 5) == (0, 1, 2, 3)


def test_random_orders_change_from_cycle_to_cycle_fixed_ones_do_not():
    assert len({RandomEvalOrder()(9, i) for i in range(20)}) == 20
    assert len({FixedRandomEvalOrder()(9, i) for i in range(20)}) == 1


def test_seeds():
    assert len({RandomEvalOrder(seed)(9, 0) for seed in range(20)}) == 20
    assert len({FixedRandomEvalOrder(seed)(9, 0) for seed in range(20)}) == 20
    assert RandomEvalOrder(3) == RandomEvalOrder(3) != RandomEvalOrder(4)


def test_one_seed_does_not_repeat_the_sequence_of_another():
    first, second = ([RandomEvalOrder(seed)(9, i) for i in range(50)] for seed in (0, 1))
    assert not set(first) & set(second)


def test_every_permutation_turns_up():
    assert len({RandomEvalOrder()(3, i) for i in range(100)}) == 6


def test_the_base_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        EvalOrder()


def test_a_seed_is_an_int():
    for kind in (RandomEvalOrder, FixedRandomEvalOrder):
        with pytest.raises(OptionsError, match="seed must be an int, got 0.5"):
            kind(seed=0.5)
