"""Damping strategies of network training."""

import pytest
import torch
from torch import nn

from manopt_torch import OptionsError, ShapeError
from manopt_torch.training import (
    DampingStrategy,
    LevenbergMarquardtModule,
    ParamSelectionStrategy,
    RandomSelectionStrategy,
    StandardDampingStrategy,
)


def test_factors_and_bounds():
    damping = StandardDampingStrategy(1.0, 0.5, 4.0, 0.4, 20.0)
    seen = []
    for event in "ssuuuu":
        (damping.on_successful_update if event == "s" else damping.on_unsuccessful_update)(1.0)
        seen.append((damping.get_current_damping(), damping.stop_attempts(1.0), damping.stop_training(1.0)))
    assert [value for value, *_ in seen] == [0.5, 0.4, 1.6, 6.4, 20.0, 20.0]
    assert [flags for _, *flags in seen] == [[False, False]] * 4 + [[True, True]] * 2
    damping.conditional_stopping = False
    assert damping.stop_attempts(1.0) and not damping.stop_training(1.0)
    damping.initialize_step(1.0)
    assert damping.get_current_damping() == 20.0
    damping.auto_reset = True
    damping.initialize_step(1.0)
    assert damping.get_current_damping() == 1.0


@pytest.mark.parametrize(
    ("mode", "wanted"), [("standard", [1.0, 1.0, 1.0]), ("fletcher", [4.0, 4.0 * 2**-23, 1.0]), ("adaptive", [4.0] * 3)]
)
def test_scalings(mode, wanted):
    got = StandardDampingStrategy(damping_mode=mode).scaling(torch.tensor([4.0, 0.0, 1.0]))
    torch.testing.assert_close(got, torch.tensor(wanted))


def test_without_any_influence_nothing_is_divided_by_zero():
    for mode in ("fletcher", "adaptive"):
        assert (StandardDampingStrategy(damping_mode=mode).scaling(torch.zeros(3))[0] > 0).all()


@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({"starting_value": 0.0}, "min_value <= starting_value"),
        ({"max_value": 1e-4}, "<= max_value"),
        ({"inc_factor": 0.5}, "inc_factor"),
        ({"dec_factor": 0.0}, "dec_factor"),
        ({"damping_mode": "none"}, "damping_mode must be one of"),
    ],
)
def test_arguments_are_checked(keywords, match):
    with pytest.raises(OptionsError, match=match):
        StandardDampingStrategy(**keywords)


class Ridge:
    """A strategy of one's own: the weight of a ridge regression, which never changes."""

    def reset(self): ...

    def get_current_damping(self):
        return 2.0

    def scaling(self, diagonal):
        return torch.ones_like(diagonal)

    def initialize_step(self, loss):
        self.loss = loss

    def on_successful_update(self, loss):
        assert isinstance(loss, float) and loss < self.loss

    def on_unsuccessful_update(self, loss): ...

    def stop_attempts(self, loss):
        return True

    def stop_training(self, loss):
        return False


def test_a_strategy_of_ones_own():
    x, y = torch.eye(2), torch.tensor([[2.0], [4.0]])
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    module = LevenbergMarquardtModule(model, damping_strategy=Ridge())
    result = module.training_step(x, y)
    # J'J / B = I / 2, so that the step is J'r / B over 2.5
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[0.4, 0.8]]))
    assert result.logs == {"damping_factor": 2.0, "attempts": 1}
    assert isinstance(Ridge(), DampingStrategy) and not isinstance(object(), DampingStrategy)
    assert module.state_dict()["_extra_state"] == {}


def test_strategies_of_ones_own_are_checked():
    class Unfinished(DampingStrategy):
        def reset(self): ...

    model, data = nn.Linear(2, 1), (torch.eye(2), torch.ones(2, 1))
    with pytest.raises(OptionsError, match="it has no get_current_damping, scaling"):
        LevenbergMarquardtModule(model, damping_strategy=Unfinished())
    for value in ("much", -1.0, torch.nan):
        strategy = Ridge()
        strategy.get_current_damping = lambda value=value: value
        with pytest.raises(OptionsError, match="must return a number >= 0"):
            LevenbergMarquardtModule(model, damping_strategy=strategy).training_step(*data)
    for weights, got in ((torch.ones(2), r"shape \(2,\)"), (None, "NoneType")):
        strategy = Ridge()
        strategy.scaling = lambda diagonal, weights=weights: weights
        with pytest.raises(ShapeError, match=rf"shape, \(3,\), got {got}"):
            LevenbergMarquardtModule(model, damping_strategy=strategy).training_step(*data)


def test_selections_are_checked():
    model = nn.Linear(2, 1)
    assert isinstance(RandomSelectionStrategy(model.parameters(), 3), ParamSelectionStrategy)
    with pytest.raises(OptionsError, match="subset_size must lie in 1 to 3, got 4"):
        RandomSelectionStrategy(model.parameters(), 4)
