import copy
import io
import pickle

import pytest
import torch

from manopt_torch import (
    AdagradRule,
    ArmijoLinesearch,
    AverageGradientRule,
    EquilibratedRule,
    ManifoldParameter,
    OptionsError,
    RMSPropRule,
    RpropRule,
    Sphere,
)
from manopt_torch import training as tz
from manopt_torch.functional.masked import Batch
from manopt_torch.training import modular

D = torch.float64

# every kind of memory, and every way in which modules nest
CHAINS = {
    "seed": lambda: [tz.ClipNorm(4), tz.LR(1e-2), tz.NesterovMomentum(0.9)],
    "adam": lambda: [tz.Adam(), tz.Cautious(), tz.LR(0.1)],
    "rprop": lambda: [RpropRule()],
    "rmsprop": lambda: [RMSPropRule(centered=True), AdagradRule(), tz.LR(0.1)],
    "averages": lambda: [AverageGradientRule(3), tz.RandomCoordinateMomentum(), tz.GradientAveraging(), tz.LR(0.01)],
    "draws": lambda: [tz.AddNoise(), tz.Dropout(0.2), tz.LR(0.1)],
    "esgd": lambda: [EquilibratedRule(), tz.LR(1e-2)],
    "nested": lambda: [tz.PolyakMomentum(0.5), RMSPropRule(inner=tz.NesterovMomentum(0.3)), tz.LR(0.01)],
    "subspace": lambda: [
        tz.PolyakMomentum(0.5),
        tz.Subspace([tz.ProjAscent(), tz.ProjLastGradDifference()]),
        tz.Adam(),
    ],
    "kept subspace": lambda: [tz.Subspace(tz.ProjRandom(2), randomize_every=4), tz.PolyakMomentum(0.3), tz.LR(0.1)],
    "subspace in a subspace": lambda: [tz.Subspace(tz.ProjRandom(3)), tz.Subspace(tz.ProjRandom(2)), tz.Adam(0.1)],
    "quasi-newton": lambda: [tz.QuasiNewton(3), tz.BacktrackingLS()],
    "armijo": lambda: [tz.NesterovMomentum(0.3), ArmijoLinesearch(contraction_factor=0.5)],
    "search amid": lambda: [ArmijoLinesearch(contraction_factor=0.5), tz.LR(0.5)],
    "wrapped": lambda: [tz.Wrap(torch.optim.Adam, lr=0.1, amsgrad=True)],
    "wrapped with another dtype": lambda: [tz.Wrap(torch.optim.NAdam, lr=0.1)],
    "wrapped in a subspace": lambda: [tz.Subspace(tz.ProjRandom(2)), tz.Wrap(torch.optim.Adam, lr=0.1)],
    "lbfgs": lambda: [tz.MakeClosure(tz.WeightDecay(0.1)), tz.Wrap(torch.optim.LBFGS, lr=0.1, max_iter=2)],
    "spsa": lambda: [tz.RandomizedFDM(1e-3), tz.Adam()],
    "random search": lambda: [tz.CyclicRS(-1, 1)],
}


def trainer(chain, *, curved=False, groups=False):
    """Return an optimizer, its parameters, and a function that makes a step."""
    a = torch.nn.Parameter(torch.tensor([[1.0, -1.0], [0.5, 2.0]], dtype=D))
    b = torch.nn.Parameter(torch.tensor(0.7, dtype=D))
    if curved:
        b = ManifoldParameter(torch.tensor([0.6, 0.8, 0.0], dtype=D), Sphere(3))
    params = [{"params": [a], "lr": 0.05, **groups}, {"params": [b]}] if groups else [a, b]
    optimizer = tz.ModularOptimizer(params, chain())

    def closure(backward=True):
        loss = (a * a * torch.tensor([1.0, 3.0], dtype=D)).sum() + (b * (b + 1)).sum() + a.sum() * b.sum() * 0.1
        if backward:
            optimizer.zero_grad()
            loss.backward()
        return loss

    return optimizer, (a, b), lambda: optimizer.step(closure)


def resumed(chain, **kind):
    """Train 4 + 4 steps without a break and with a break between; return the parameters of both."""
    first, q, step = trainer(chain, **kind)
    for _ in range(4):
        step()
    buffer = io.BytesIO()
    torch.save([first.state_dict(), [t.detach() for t in q]], buffer)
    for _ in range(4):
        step()
    buffer.seek(0)
    state, values = torch.load(buffer, weights_only=True)
    second, r, other = trainer(chain, **kind)
    with torch.no_grad():
        for t, value in zip(r, values, strict=True):
            t.copy_(value)
    second.load_state_dict(state)
    for _ in range(4):
        other()
    return q, r


@pytest.mark.parametrize("name", CHAINS)
def test_state_survives_a_file(name):
    for mine, theirs in zip(*resumed(CHAINS[name]), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", CHAINS)
def test_where_scalars_are_tensors(name, monkeypatch):
    """As on a device: there the lane is that of a batch without axes."""
    _, q, step = trainer(CHAINS[name])
    monkeypatch.setattr(modular, "lane_for", lambda M, x: Batch((), x[0]))
    _, r, other = trainer(CHAINS[name])
    for _ in range(4):
        step(), other()
    for mine, theirs in zip(q, r, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


def test_copies_go_on_by_themselves():
    optimizer, (a, b), step = trainer(CHAINS["adam"])
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    step()
    other, c, d = copy.deepcopy((optimizer, a, b))
    step()
    assert other.param_groups[0]["params"][0] is c
    c.grad, d.grad = a.grad.clone(), b.grad.clone()
    other.step()
    assert torch.equal(a, c) and torch.equal(b, d)


def test_a_file_holds_optimizer_and_parameters():
    x = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=D))
    optimizer = tz.ModularOptimizer([x], [tz.PolyakMomentum(0.5), tz.QuasiNewton(2), tz.BacktrackingLS()])

    def steps(optimizer, x):
        def closure(backward=True):
            loss = (x * x).sum() + x[0] ** 4
            if backward:
                optimizer.zero_grad()
                loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
        return x.tolist()

    steps(optimizer, x)
    others = pickle.loads(pickle.dumps((optimizer, x)))
    assert steps(*others) == steps(optimizer, x)


@pytest.mark.parametrize("name", ["seed", "adam", "averages", "quasi-newton", "subspace"])
def test_state_on_a_curved_manifold(name):
    chain = CHAINS[name] if name != "averages" else lambda: [AverageGradientRule(3), tz.LR(0.05)]
    for mine, theirs in zip(*resumed(chain, curved=True), strict=True):
        assert torch.equal(mine, theirs)


def test_state_of_groups_with_their_own_settings():
    for mine, theirs in zip(*resumed(CHAINS["seed"], groups={"momentum": 0.5}), strict=True):
        assert torch.equal(mine, theirs)
    for mine, theirs in zip(*resumed(CHAINS["adam"], groups={"beta1": 0.5}, curved=True), strict=True):
        assert torch.equal(mine, theirs)


def test_state_is_a_copy_and_refuses_other_modules():
    first, _, step = trainer(CHAINS["seed"])
    step()
    state = first.state_dict()
    kept = copy.deepcopy(state)
    step()
    assert torch.equal(state["modules"]["2"]["memory"]["velocity"][0], kept["modules"]["2"]["memory"]["velocity"][0])
    second, _, _ = trainer(CHAINS["adam"])
    with pytest.raises(OptionsError, match="NesterovRule, the modules are AdamRule"):
        second.load_state_dict(state)
    torn = {name: entry for name, entry in state.items() if name != "chain"}
    for other in (torch.optim.SGD([torch.ones(1, requires_grad=True)], 0.1).state_dict(), torn, None):
        with pytest.raises(OptionsError, match="no state of a ModularOptimizer: it has no '"):
            second.load_state_dict(other)


def test_scheduled_rate_is_saved():
    first, _, step = trainer(CHAINS["adam"])
    scheduler = torch.optim.lr_scheduler.StepLR(first, 1, 0.5)
    step()
    scheduler.step()
    second, _, _ = trainer(CHAINS["adam"])
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] == 0.05
    assert second.param_groups[0]["params"][0] is not first.param_groups[0]["params"][0]


def test_modules_serve_two_optimizers():
    chain = CHAINS["adam"]()
    one, q, step = trainer(lambda: chain)
    _, r, other = trainer(lambda: chain)
    one.param_groups[0]["beta1"] = 0.5
    for _ in range(3):
        step(), other()
    _, s, alone = trainer(CHAINS["adam"])
    for _ in range(3):
        alone()
    assert torch.equal(r[0], s[0]) and not torch.equal(q[0], r[0])
