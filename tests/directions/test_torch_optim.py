"""On Euclidean space, rules with a constant step size are the optimisers of torch, and those of downhill."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import optim

from manopt_torch import (
    AdadeltaRule,
    AdagradRule,
    AdamRule,
    Chain,
    ClipNormRule,
    ConstantStepsize,
    EquilibratedRule,
    Euclidean,
    GradientDescentOptions,
    GradientRule,
    HeavyBallRule,
    HessianProblem,
    NesterovRule,
    RMSPropRule,
    RpropRule,
    ScaleRule,
    StopAfterIteration,
    WeightDecayRule,
    from_halflife,
    record_to_dict,
    solve,
)

D = torch.float64
START = torch.tensor([-3.0, -3.0], dtype=D)


def rosenbrock(x: torch.Tensor) -> torch.Tensor:
    return 100 * (x[..., 1] - x[..., 0].square()).square() + (1 - x[..., 0]).square()


PROBLEM = HessianProblem(Euclidean(2), rosenbrock)


def run(rule: Any, length: float, n: int, start: torch.Tensor = START) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the iterates and the costs after each of `n` steps."""
    o = GradientDescentOptions(start, direction=rule, stepsize=ConstantStepsize(length), stop=StopAfterIteration(n))
    recorded = record_to_dict(solve(PROBLEM, o, record=[":Iterate", ":Cost"]))
    return recorded[":Iterate"], recorded[":Cost"]


TORCH = [
    ("gradient", GradientRule(), 1e-4, partial(optim.SGD, lr=1e-4), 1e-12),
    ("momentum", HeavyBallRule(0.9), 1e-4, partial(optim.SGD, lr=1e-4, momentum=0.9), 1e-12),
    ("dampening", HeavyBallRule(0.9, 0.3), 1e-4, partial(optim.SGD, lr=1e-4, momentum=0.9, dampening=0.3), 1e-12),
    ("nesterov", NesterovRule(0.9), 1e-4, partial(optim.SGD, lr=1e-4, momentum=0.9, nesterov=True), 1e-12),
    (
        "weight decay",
        Chain([WeightDecayRule(0.1), HeavyBallRule(0.9)]),
        1e-4,
        partial(optim.SGD, lr=1e-4, momentum=0.9, weight_decay=0.1),
        1e-12,
    ),
    (
        "downhill's nesterov",
        NesterovRule(0.9, variant="downhill"),
        1e-4,
        partial(optim.SGD, lr=1.9e-4, momentum=0.81),
        1e-12,
    ),
    ("adam", AdamRule(), 0.1, partial(optim.Adam, lr=0.1), 1e-12),
    ("adam, betas", AdamRule(0.5, 0.9, 0.1), 0.01, partial(optim.Adam, lr=0.01, betas=(0.5, 0.9), eps=0.1), 1e-12),
    ("amsgrad", AdamRule(amsgrad=True), 0.1, partial(optim.Adam, lr=0.1, amsgrad=True), 1e-12),
    (
        "adamw",
        Chain([AdamRule(), WeightDecayRule(0.1)]),
        0.1,
        partial(optim.AdamW, lr=0.1, weight_decay=0.1),
        1e-12,
    ),
    ("adagrad", AdagradRule(), 0.1, partial(optim.Adagrad, lr=0.1), 1e-12),
    (
        "adagrad, initial",
        AdagradRule(initial=0.5),
        0.1,
        partial(optim.Adagrad, lr=0.1, initial_accumulator_value=0.5),
        1e-12,
    ),
    ("adadelta", AdadeltaRule(), 1.0, partial(optim.Adadelta, lr=1.0), 1e-12),
    ("rprop", RpropRule(), 1.0, optim.Rprop, 1e-12),
    ("rmsprop", RMSPropRule(), 0.01, partial(optim.RMSprop, lr=0.01), 1e-12),
    ("rmsprop, centred", RMSPropRule(centered=True), 0.01, partial(optim.RMSprop, lr=0.01, centered=True), 1e-9),
    (
        "rmsprop, momentum",
        Chain([RMSPropRule(), HeavyBallRule(0.9)]),
        1e-3,
        partial(optim.RMSprop, lr=1e-3, momentum=0.9),
        1e-12,
    ),
]


@pytest.mark.parametrize(("rule", "length", "make", "limit"), [t[1:] for t in TORCH], ids=[t[0] for t in TORCH])
def test_two_hundred_steps_are_those_of_torch(rule: Any, length: float, make: Any, limit: float) -> None:
    x = torch.nn.Parameter(START.clone())
    optimizer, theirs = make([x]), []
    for _ in range(200):
        optimizer.zero_grad()
        rosenbrock(x).backward()
        optimizer.step()
        theirs.append(x.detach().clone())
    ours, _ = run(rule, length, 200)
    torch.testing.assert_close(ours, torch.stack(theirs), rtol=0, atol=limit)


def test_downhills_nesterov_is_not_that_of_torch() -> None:
    ours, theirs = (run(NesterovRule(0.9, variant=v), 1e-4, 200)[0] for v in ("downhill", "torch"))
    assert (ours - theirs).abs().max() > 1


# downhill, run on Rosenbrock's function with its defaults: cost after steps 1, 2, 10, 100 and 1000
DOWNHILL = [
    ("sgd", [ScaleRule(1e-4)], [2701.306243, 1753.261999, 553.8588485, 13.03276229, 0.7155844701]),
    (
        "nag",
        [ScaleRule(1e-4), NesterovRule(0.9, variant="downhill")],
        [684.316276, 3728.683405, 164.5650005, 8.120308584, 5.995097187],
    ),
    (
        "rprop",
        [RpropRule(1e-4, 1.01, 0.99, 0.0, 100.0)],
        [14414.31927, 14412.62189, 14398.4231, 14131.56992, 0.1150196981],
    ),
    (
        "rmsprop",
        [RMSPropRule(from_halflife(14), centered=True, eps_inside=True), ScaleRule(1e-4)],
        [14408.16239, 14402.41474, 14371.09688, 13635.61987, 588.5983759],
    ),
    (
        "adagrad",
        [AdagradRule(1e-8, eps_inside=True), ScaleRule(1e-4)],
        [14414.31927, 14413.13096, 14407.56326, 14384.78909, 14312.49959],
    ),
    (
        "adadelta",
        [AdadeltaRule(from_halflife(14), 1e-8)],
        [14408.35399, 14400.61851, 14337.42194, 13603.21152, 6973.555595],
    ),
    (
        "adam",
        [AdamRule(from_halflife(7), from_halflife(69)), ScaleRule(1e-4)],
        [14414.31927, 14412.6387, 14399.1997, 14248.85103, 12816.73913],
    ),
    (
        "esgd",
        [EquilibratedRule(probe=lambda p, o, i: torch.ones_like(o.x)), ScaleRule(1e-6)],
        [14415.90974, 14415.84513, 14415.52726, 14413.58279, 14395.74078],
    ),
    ("clipped", [ClipNormRule(1.0), ScaleRule(1e-4)], [14414.53941, 14413.07894, 14401.39951, 14270.53721, 13014.522]),
]


@pytest.mark.parametrize(("rules", "known"), [d[1:] for d in DOWNHILL], ids=[d[0] for d in DOWNHILL])
def test_costs_are_those_of_downhill(rules: Any, known: list[float]) -> None:
    n = 1000 if len(rules) == 1 else 100
    _, costs = run(Chain(rules), 1.0, n)
    steps = [k for k in (1, 2, 10, 100, 1000) if k <= n]
    found = costs[torch.tensor(steps) - 1]
    torch.testing.assert_close(found, torch.tensor(known[: len(steps)], dtype=D), rtol=5e-9, atol=0)


def test_the_figure_in_the_docs_of_downhill() -> None:
    rules = [ClipNormRule(100.0), ScaleRule(1e-3), NesterovRule(0.95, variant="downhill")]
    iterates, costs = run(Chain(rules), 1.0, 300, torch.tensor([-1.0, 0.0], dtype=D))
    known = torch.tensor([38.67578551, 0.2915291929, 0.05922542402, 0.0008353067406], dtype=D)
    torch.testing.assert_close(costs[torch.tensor([0, 49, 99, 298])], known, rtol=5e-9, atol=0)
    last = torch.tensor([0.971387384503, 0.943476889015], dtype=D)
    torch.testing.assert_close(iterates[-1], last, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    iterates, _ = run(Chain([AdamRule(), HeavyBallRule()]), 1e-3, 3, START.to(dtype))
    assert iterates.dtype is dtype


def test_a_halflife_is_half_a_life() -> None:
    assert from_halflife(1) == pytest.approx(0.5)
    assert from_halflife(14) == pytest.approx(0.951695153011, abs=1e-12)
    assert from_halflife(69) == pytest.approx(0.990004677307, abs=1e-12)
    with pytest.raises(ValueError, match="halflife.*-1"):
        from_halflife(-1)
