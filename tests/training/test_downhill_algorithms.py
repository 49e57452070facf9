"""The eight algorithms against their formulas written out, against a table, and against torch.optim."""

import math

import numpy as np
import pytest
import torch

from manopt_torch import AdamRule, OptionsError, ZhangSraRule, build
from tests.together import together

START = (-3.0, -3.0)

# losses on Rosenbrock's function before updates 1, 2, 10, 100, 1000 (counted from 0), from runs of the package downhill
TABLE = {
    "sgd": (2701.306243, 1753.261999, 553.8588485, 13.03276229, 0.7155844701),
    "nag": (684.316276, 3728.683405, 164.5650005, 8.120308584, 5.995097187),
    "rprop": (14414.31927, 14412.62189, 14398.4231, 14131.56992, 0.1150196981),
    "rmsprop": (14408.16239, 14402.41474, 14371.09688, 13635.61987, 588.5983759),
    "adagrad": (14414.31927, 14413.13096, 14407.56326, 14384.78909, 14312.49959),
    "adadelta": (14408.35399, 14400.61851, 14337.42194, 13603.21152, 6973.555595),
    "esgd": (14415.90974, 14415.84513, 14415.52726, 14413.58279, 14395.74078),
    "adam": (14414.31927, 14412.6387, 14399.1997, 14248.85103, 12816.73913),
}


def ones(p, o, i):
    return tuple(torch.ones_like(part) for part in o.x)


HYPER = {"nag": {"momentum": 0.9}, "esgd": {"learning_rate": 1e-6, "probe": ones}}


def point(start=START):
    return torch.tensor(start, dtype=torch.float64, requires_grad=True)


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def gradient(x):
    return np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])


def hessian(x):
    return np.array([[1200 * x[0] ** 2 - 400 * x[1] + 2, -400 * x[0]], [-400 * x[0], 200.0]])


def losses(algo, steps, x=None, **hyper):
    x = point() if x is None else x
    update = build(algo, lambda: rosenbrock(x), params=[x]).get_updates(**hyper)
    return [update().item() for _ in range(steps)]


# ---- the table ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("algo", TABLE)
def test_losses_are_those_of_downhill(algo):
    found = losses(algo, 1001, **HYPER.get(algo, {}))
    assert [found[k] for k in (1, 2, 10, 100, 1000)] == pytest.approx(TABLE[algo], rel=1e-8)


def test_limited_gradients_are_those_of_downhill():
    found = losses("sgd", 101, max_gradient_norm=1)
    assert [found[k] for k in (1, 2, 10, 100)] == pytest.approx(
        (14414.53941, 14413.07894, 14401.39951, 14270.53721), rel=1e-8
    )


def test_path_of_downhills_picture():
    x = point((-1.0, 0.0))
    found = losses("NAG", 300, x, learning_rate=1e-3, momentum=0.95, max_gradient_norm=100)
    wanted = (38.67578551, 0.2915291929, 0.05922542402, 0.0008353067406)
    assert [found[k] for k in (1, 50, 100, 299)] == pytest.approx(wanted, rel=1e-8)
    assert x.tolist() == pytest.approx((0.971387384503, 0.943476889015), abs=1e-11)


def test_equilibration_does_not_see_the_scale():
    x = point((1.0, 1.0))
    scale = torch.tensor([1.0, 100.0], dtype=torch.float64)
    update = build("esgd", lambda: 0.5 * (scale * x * x).sum(), [x]).get_updates(learning_rate=0.1, probe="rademacher")
    for wanted in [(0.5450070946, 0.5450070741), (0.3675060986, 0.3675060790), (0.2685865255, 0.2685865086)]:
        update()
        assert x.tolist() == pytest.approx(wanted, abs=2e-10)


# ---- the formulas, written out --------------------------------------------------------------------------------------
def gamma(halflife):
    return math.exp(-math.log(2) / halflife)


class Sgd:
    def update(self, g, x):
        return 1e-4 * g


class Rprop:
    step, former = np.full(2, 1e-4), np.zeros(2)

    def update(self, g, x):
        t = g * self.former
        self.step = np.clip(self.step * np.where(t > 0, 1.01, np.where(t < 0, 0.99, 1.0)), 0, 100)
        g = np.where(t < 0, 0.0, g)
        self.former = g
        return np.sign(g) * self.step


class Adagrad:
    v = 0.0

    def update(self, g, x):
        self.v = self.v + g * g
        return 1e-4 * g / np.sqrt(self.v + 1e-8)


class RmsProp:
    m = v = 0.0

    def update(self, g, x):
        c = gamma(14)
        self.m, self.v = c * self.m + (1 - c) * g, c * self.v + (1 - c) * g * g
        return 1e-4 * g / np.sqrt(self.v - self.m**2 + 1e-8)


class Adadelta:
    v = w = 0.0

    def update(self, g, x):
        c = gamma(14)
        self.v = c * self.v + (1 - c) * g * g
        u = g * np.sqrt(self.w + 1e-8) / np.sqrt(self.v + 1e-8)
        self.w = c * self.w + (1 - c) * u * u
        return u


class Esgd:
    d = 0.0

    def update(self, g, x):
        c = gamma(14)
        self.d = c * self.d + (1 - c) * (hessian(x) @ np.ones(2)) ** 2
        return 1e-4 * g / (np.sqrt(self.d) + 1e-8)


class Adam:
    m = v = 0.0
    k = 0

    def update(self, g, x):
        a, b = gamma(7), gamma(69)
        self.k += 1
        self.m, self.v = a * self.m + (1 - a) * g, b * self.v + (1 - b) * g * g
        return 1e-4 * (self.m / (1 - a**self.k)) / (np.sqrt(self.v / (1 - b**self.k)) + 1e-8)


FORMULAS = {
    "sgd": Sgd,
    "nag": Sgd,
    "rprop": Rprop,
    "adagrad": Adagrad,
    "rmsprop": RmsProp,
    "adadelta": Adadelta,
    "esgd": Esgd,
    "adam": Adam,
}


def written_out(algo, steps, mu, nesterov, limit):
    rule, x, v = FORMULAS[algo](), np.array(START), np.zeros(2)
    for _ in range(steps):
        u = rule.update(limit(gradient(x)), x)
        v = mu**2 * v - (1 + mu) * u if nesterov else mu * v - u
        x = x + v
    return x


@pytest.mark.parametrize("mu", [0.0, 0.7])
@pytest.mark.parametrize("algo", FORMULAS)
def test_path_is_that_of_the_formulas(algo, mu):
    x, probe = point(), {"probe": ones} if algo == "esgd" else {}
    losses(algo, 60, x, momentum=mu, **probe)
    wanted = written_out(algo, 60, mu, algo == "nag", lambda g: g)
    assert x.tolist() == pytest.approx(wanted, rel=1e-9)


def test_nesterov_momentum_for_any_algorithm():
    x = point()
    losses("adam", 60, x, momentum=0.8, nesterov=True)
    assert x.tolist() == pytest.approx(written_out("adam", 60, 0.8, True, lambda g: g), rel=1e-9)


@pytest.mark.parametrize(
    ("hyper", "limit"),
    [
        ({"max_gradient_norm": 3.0}, lambda g: g * min(1, 3 / np.linalg.norm(g))),
        ({"max_gradient_elem": 2.0}, lambda g: np.clip(g, -2, 2)),
    ],
)
def test_limits_come_before_the_rule(hyper, limit):
    x = point()
    losses("rmsprop", 60, x, **hyper)
    assert x.tolist() == pytest.approx(written_out("rmsprop", 60, 0.0, False, limit), rel=1e-9)


def test_norms_are_limited_for_each_parameter():
    u, v = point((3.0, 4.0)), point((0.3, 0.4))
    build("sgd", lambda: 0.5 * (u @ u + v @ v), [u, v]).get_updates(learning_rate=1.0, max_gradient_norm=1.0)()
    assert u.tolist() == pytest.approx((2.4, 3.2)) and v.tolist() == pytest.approx((0.0, 0.0))


def test_equilibration_looks_at_one_parameter_at_a_time():
    u, v = point((1.0, 1.0)), point((2.0, 2.0))

    def loss():
        return 0.5 * (u * u).sum() + (v * v).sum() + 10 * (u * v).sum()

    build("esgd", loss, [u, v]).get_updates(learning_rate=0.1, probe=ones)()
    share = math.sqrt(1 - gamma(14))  # products with ones: 1 and 2, without the mixed derivatives of 10
    assert u.tolist() == pytest.approx(2 * [1.0 - 0.1 * 21 / share], rel=1e-6)
    assert v.tolist() == pytest.approx(2 * [2.0 - 0.1 * 14 / (2 * share)], rel=1e-6)


# ---- torch ----------------------------------------------------------------------------------------------------------
def gap(optimizer, algo, start=START, steps=200, **hyper):
    x, y = point(start), point(start)
    update = build(algo, lambda: rosenbrock(x), [x]).get_updates(**hyper)
    return run_both(optimizer([y]), y, update, x, steps)


def run_both(opt, y, update, x, steps):
    largest = 0.0
    for _ in range(steps):
        opt.zero_grad()
        rosenbrock(y).backward()
        opt.step()
        update()
        largest = max(largest, (x - y).abs().max().item())
    return largest


DOWNHILL_AND_TORCH = {
    "sgd": (lambda p: torch.optim.SGD(p, lr=1e-4), {}),
    "nag": (lambda p: torch.optim.SGD(p, lr=1.9e-4, momentum=0.81), {"momentum": 0.9}),
    "rprop": (lambda p: torch.optim.Rprop(p, lr=1e-4, etas=(0.99, 1.01), step_sizes=(0, 100)), {}),
    "adadelta": (lambda p: torch.optim.Adadelta(p, lr=1.0, rho=gamma(14), eps=1e-8), {}),
    "adam": (lambda p: torch.optim.Adam(p, lr=1e-4, betas=(gamma(7), gamma(69))), {}),
    "adagrad": (lambda p: torch.optim.Adagrad(p, lr=1e-4, eps=1e-8), {}),
    "rmsprop": (lambda p: torch.optim.RMSprop(p, lr=1e-4, alpha=gamma(14), centered=True), {}),
}


@pytest.mark.parametrize("algo", DOWNHILL_AND_TORCH)
def test_downhills_formulas_are_torchs_with_other_numbers(algo):
    optimizer, hyper = DOWNHILL_AND_TORCH[algo]
    assert gap(optimizer, algo, **hyper) <= (1e-9 if algo == "rmsprop" else 1e-12)


def test_downhills_nesterov_is_not_torchs():
    def torchs(p):
        return torch.optim.SGD(p, lr=1e-4, momentum=0.9, nesterov=True)

    assert gap(torchs, "nag", momentum=0.9) > 1
    assert gap(torchs, "sgd", momentum=0.9, nesterov="torch") < 1e-12


TORCH = {
    "sgd": (lambda p: torch.optim.SGD(p, lr=1e-4, momentum=0.6), {"momentum": 0.6}),
    "nag": (lambda p: torch.optim.SGD(p, lr=1e-4, momentum=0.6, nesterov=True), {"momentum": 0.6}),
    "rprop": (lambda p: torch.optim.Rprop(p, lr=1e-2), {"learning_rate": 1e-2}),
    "rmsprop": (lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.5), {"learning_rate": 1e-3, "momentum": 0.5}),
    "adagrad": (lambda p: torch.optim.Adagrad(p, lr=0.1), {"learning_rate": 0.1}),
    "adadelta": (lambda p: torch.optim.Adadelta(p, lr=1.0), {"learning_rate": 1.0}),
    "adam": (lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.99)), {"learning_rate": 0.1, "betas": (0.8, 0.99)}),
}


@pytest.mark.parametrize("algo", TORCH)
def test_formulas_of_torch(algo):
    optimizer, hyper = TORCH[algo]
    x, y = point(), point()
    update = build(algo, lambda: rosenbrock(x), [x], formulas="torch").get_updates(**hyper)
    assert run_both(optimizer([y]), y, update, x, 200) <= 1e-11


# ---- what is refused ------------------------------------------------------------------------------------------------
def test_a_rule_may_be_given():
    x, y = point(), point()
    update = build(AdamRule(), lambda: rosenbrock(x), [x]).get_updates(learning_rate=0.01)
    assert run_both(torch.optim.Adam([y], lr=0.01), y, update, x, 50) < 1e-12
    with pytest.raises(OptionsError, match="ZhangSraRule asks for a step size"):
        build(ZhangSraRule(mu=2.0, gamma=2.0, shrinkage=0.0), lambda: rosenbrock(x), [x])


@pytest.mark.parametrize(
    ("algo", "formulas", "match"),
    [
        ("lbfgs", "downhill", "adadelta, adagrad, adam, esgd, nag, rmsprop, rprop, sgd; got 'lbfgs'"),
        ("esgd", "torch", "with the formulas of torch"),
        (7, "downhill", "got 7"),
        ("sgd", "keras", "formulas must be one of downhill, torch, got 'keras'"),
    ],
)
def test_unknown_algorithms(algo, formulas, match):
    x = point()
    with pytest.raises(OptionsError, match=match):
        build(algo, lambda: rosenbrock(x), [x], formulas=formulas)


@together()
@pytest.mark.parametrize(
    ("hyper", "match"),
    [
        ({"max_gradient_clip": 1}, "unknown keyword max_gradient_clip; with algo='adam' it takes .*beta1_halflife"),
        ({"rms_halflife": 3}, "unknown keyword rms_halflife"),
        ({"max_gradient_norm": 1, "max_gradient_elem": 1}, "not both"),
        ({"learning_rate": 0}, "learning_rate must be a positive number, got 0"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"momentum": 1.0}, "momentum must lie in"),
        ({"nesterov": "keras"}, "nesterov must be"),
        ({"beta1_halflife": 0}, "halflife"),
    ],
)
def test_wrong_hyperparameters(hyper, match):
    x = point()
    with pytest.raises(OptionsError, match=match):
        build("adam", lambda: rosenbrock(x), [x]).get_updates(**hyper)
