"""`minimize` and `build`: epochs, monitors, validations, the best parameters, and parameters on manifolds."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from manopt_torch import (
    ManifoldParameter,
    MissingDerivativeError,
    NotOnManifoldError,
    OptionsError,
    ShapeError,
    Sphere,
    Stiefel,
    UnknownKeywordError,
    build,
    minimize,
)
from tests.together import together

A, B, K = 20, 5, 3


class Factors:
    """The factorisation of the package downhill's front page, in the draws of its author."""

    def __init__(self):
        draw = np.random.RandomState(0).randn
        self.u = torch.from_numpy(draw(A, K)).requires_grad_()
        self.v = torch.from_numpy(draw(K, B)).requires_grad_()
        self.y = draw(A, K) @ draw(K, B) + draw(A, B)
        self.params = {"u": self.u, "v": self.v}
        self.monitors = (
            ("err", self.err),
            ("|u|<0.1", lambda z: (self.u.abs() < 0.1).double().mean()),
            ("|v|<0.1", lambda z: (self.v.abs() < 0.1).double().mean()),
        )

    def err(self, z):
        return (z - self.u @ self.v).square().mean()

    def loss(self, z):
        return self.err(z) + self.u.abs().mean() + self.v.square().mean()

    def now(self):
        return self.loss(torch.from_numpy(self.y)).item()


HYPER = {"patience": 0, "max_gradient_norm": 1, "learning_rate": 0.1}
VALIDATIONS = (
    "8.99915717 2.26388108 1.93249965 1.89639563 1.86244636 1.82965186 "
    "1.80798889 1.79998328 1.79507455 1.79484098 1.78338412 1.79001152"
)


# ---- the factorisation ----------------------------------------------------------------------------------------------
def test_factorisation_by_epochs():
    f = Factors()
    opt = build("rmsprop", f.loss, f.params, f.monitors, monitor_gradients=True)
    epochs = list(opt.iterate(train=[[f.y]], batch_size=A, **HYPER))
    first, valid = epochs[0]
    assert list(first) == ["loss", "err", "|u|<0.1", "|v|<0.1", "grad(u)", "grad(v)"]
    wanted = (8.9991571656, 7.3811291236, 0.05, 0.0666666667, 0.9869954624, 4.4949832416)
    assert list(first.values()) == pytest.approx(wanted, abs=1e-9)
    assert valid == first  # validated before the first epoch, on the same batch
    assert opt.validations == pytest.approx([float(v) for v in VALIDATIONS.split()], abs=1e-8)
    assert (len(epochs), opt.epochs, opt.reason) == (110, 110, "patience elapsed")
    assert f.now() == pytest.approx(1.783384121, abs=1e-9) and opt.best_loss == f.now()


def test_factorisation_in_one_call():
    f = Factors()
    train, valid = minimize(f.loss, [f.y], params=f.params, batch_size=A, monitors=dict(f.monitors), **HYPER)
    assert train["loss"] > valid["loss"] == pytest.approx(1.783384121, abs=1e-9)
    assert valid["err"] == pytest.approx(0.46774224, abs=1e-8) and valid["|u|<0.1"] == pytest.approx(0.383333, abs=1e-6)


@pytest.mark.parametrize(
    ("algo", "epochs", "best", "more"),
    [("adam", 290, 1.7082237541, {}), ("nag", 450, 1.715498656, {"momentum": 0.9})],
)
def test_factorisation_by_other_algorithms(algo, epochs, best, more):
    f = Factors()
    opt = build(algo, f.loss, f.params)
    opt.minimize([f.y], **HYPER, **more)
    assert opt.epochs == epochs and f.now() == pytest.approx(best, abs=1e-9)


def test_rosenbrock_by_patience():
    x = torch.tensor([-3.0, -3.0], dtype=torch.float64, requires_grad=True)
    opt = build("nag", lambda: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, [x])
    opt.minimize(learning_rate=1e-3, momentum=0.9, patience=1, min_improvement=0.1, max_gradient_norm=1)
    assert abs(opt.epochs - 8060) <= 10 and opt.reason == "patience elapsed"
    assert x.tolist() == pytest.approx([1.0, 1.0], abs=1e-12)


def test_updates_alone():
    f = Factors()
    update = build("rmsprop", f.loss, f.params).get_updates(batch_size=A, max_gradient_norm=1, learning_rate=0.1)
    found = [update(torch.from_numpy(f.y)).item() for _ in range(11)]
    assert found[0] == pytest.approx(8.9991571656) and found[10] == pytest.approx(2.26388108)


def test_parameters_found_in_the_graph_cost_no_batch():
    """The batch that they are looked for in is still part of the first validation."""
    rows, found = torch.arange(1.0, 8.0), []
    for known in (True, False):
        x = torch.tensor(1.0, requires_grad=True)
        opt = build("sgd", lambda y, x=x: (x * y).mean(), [x] if known else None)
        opt.minimize([rows], batch_size=2, learning_rate=1e-9, validate_every=1, max_updates=3)
        found.append(opt.validations)
    assert found[0] == found[1] == pytest.approx([(1.5 + 3.5 + 5.5 + 7.0) / 4] * 4)
    calls = []
    x = torch.tensor(1.0, requires_grad=True)
    opt = build("sgd", lambda y: (x * y).mean())
    opt.minimize(lambda: calls.append(1) or rows, train_batches=2, learning_rate=1e-9, max_updates=1)
    assert len(calls) == 2 + 2 + 2  # two validations and an epoch
    with pytest.raises(OptionsError, match="empty"):
        build("sgd", lambda y: (x * y).mean()).minimize(torch.utils.data.DataLoader([], 2))


def test_evaluation_of_other_data():
    f = Factors()
    opt = build("rmsprop", f.loss, None, f.monitors, monitor_gradients=True)
    before = f.u.detach().clone(), f.v.detach().clone()
    found = opt.evaluate([[f.y]])
    wanted = (8.9991571656, 7.3811291236, 0.05, 0.0666666667, 0.9869954624, 4.4949832416)
    assert list(found.values()) == pytest.approx(wanted, abs=1e-9) and list(found)[-1] == "grad(v)"
    assert torch.equal(f.u, before[0]) and torch.equal(f.v, before[1]) and opt.reason == "not run"
    # an array is cut, and batches count alike
    x = torch.tensor(1.0, requires_grad=True)
    rows = torch.tensor([1.0, 2.0, 6.0])
    means = build("sgd", lambda y: (x * y).mean()).evaluate(rows, batch_size=2)
    assert means == {"loss": pytest.approx((1.5 + 6.0) / 2)}
    with pytest.raises(OptionsError, match="empty"):
        build("sgd", lambda y: (x * y).mean(), [x]).evaluate([])
    with pytest.raises(UnknownKeywordError, match="evaluate got unknown keyword size"):
        build("sgd", lambda y: (x * y).mean(), [x]).evaluate(rows, size=2)


# ---- epochs and validations -----------------------------------------------------------------------------------------
def scalar(value=0.0):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def losses_from(values, x):
    """Return a loss that says in turn what it is told when it is validated, and moves x by one learning rate a step."""
    said = iter(values)

    def loss():
        return -x if torch.is_grad_enabled() else torch.tensor(float(next(said)))

    return loss


@pytest.mark.parametrize(
    ("values", "patience", "epochs", "restored"),
    [
        ((5, 4, 3, 3, 3), 0, 3, 2.0),
        ((5, 4, 3, 3, 2, 2, 2, 9), 1, 6, 4.0),
        ((5, math.nan, math.nan), 1, 2, 0.0),
        ((math.nan, math.nan), 1, 1, 0.0),
        ((-1, -0.95, -0.95), 1, 2, 0.0),
    ],
)
def test_patience_and_restoring(values, patience, epochs, restored):
    x = scalar()
    opt = build("sgd", losses_from(values, x), [x])
    opt.minimize(patience=patience, min_improvement=0.1, validate_every=1, learning_rate=1.0)
    assert (opt.epochs, opt.reason, x.item()) == (epochs, "patience elapsed", restored)


def test_last_epochs_are_validated_too():
    x = scalar(1.0)
    opt = build("sgd", lambda: x * x, [x])
    epochs = list(opt.iterate([[]], learning_rate=0.25, max_updates=15))
    assert len(epochs) == 15 and opt.reason == "15 epochs made"
    assert x.item() == pytest.approx(0.5**15) and len(opt.validations) == 3
    assert [v["loss"] for _, v in epochs] == pytest.approx([1.0] * 10 + [0.25**10] * 5)
    assert [t["loss"] for t, _ in epochs] == pytest.approx([0.25**k for k in range(15)])


@pytest.mark.parametrize(("epochs", "validations"), [(0, 1), (10, 2), (20, 3)])
def test_no_validation_is_made_twice(epochs, validations):
    x = scalar(1.0)
    opt = build("sgd", lambda: x * x, [x])
    train, valid = opt.minimize(learning_rate=0.25, max_updates=epochs)
    assert len(opt.validations) == validations
    assert valid["loss"] == x.item() ** 2 == pytest.approx(0.25**epochs) and bool(train) == (epochs > 0)


def test_number_of_updates():
    x, seen = scalar(1.0), []

    def loss(z):
        seen.append(z)
        return x * x

    opt = build("sgd", loss, [x])
    list(opt.iterate([[1], [2], [3]], [[0]], max_steps=5))
    assert [z for z in seen if z] == [1, 2, 3, 1, 2] and (opt.epochs, opt.reason) == (2, "5 steps made")


def test_a_loop_may_be_left():
    x = scalar(1.0)
    opt = build("sgd", lambda: x * x, [x])
    for k, (train, _) in enumerate(opt.iterate([[]], learning_rate=0.75, validate_every=1)):  # noqa: B007
        if k == 4:
            break
    # before the fifth update the loss was (1/2)^8; nobody has moved the parameter since
    assert train["loss"] == pytest.approx(0.5**8) and x.item() == pytest.approx(-(0.5**5))
    opt.set_params("best")
    assert x.item() == pytest.approx(0.5**4) and opt.best_loss == pytest.approx(0.5**8)
    opt.set_params({"x": 3.0})
    assert x.item() == 3.0
    opt.minimize(learning_rate=0.75, max_updates=1)  # goes on from there
    assert x.item() == pytest.approx(-1.5)


def test_interruption_restores_the_best():
    x, calls = scalar(1.0), []

    def loss():
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return x * x

    opt = build("sgd", loss, [x])
    opt.minimize(learning_rate=0.25, validate_every=3)
    assert opt.reason == "interrupted" and x.item() == 0.5**3  # validations were calls 1 and 5


def test_nan_ends_by_patience_at_the_best_point():
    x = scalar(2.0)
    opt = build("sgd", lambda: (x.log() - 1) ** 2, [x])
    opt.minimize(learning_rate=500.0, patience=2)
    assert opt.reason == "patience elapsed" and x.item() == 2.0 and math.isnan(opt.validations[-1])


def test_means_over_batches_have_equal_weights():
    x = scalar(0.0)
    data = torch.arange(5, dtype=torch.float64)
    opt = build("sgd", lambda z: (z - x).mean(), [x], {"largest": lambda z: z.max(), "rows": lambda z: len(z)})
    train, valid = next(opt.iterate(data, [[data]], batch_size=2, shuffle=False, learning_rate=1e-30))
    assert train == {"loss": pytest.approx((0.5 + 2.5 + 4) / 3), "largest": pytest.approx(8 / 3), "rows": 5 / 3}
    assert valid == {"loss": 2.0, "largest": 4.0, "rows": 5.0}


def test_monitors_see_parameters_before_the_update():
    x = scalar(3.0)
    opt = build("sgd", lambda: x, [x], {"x": lambda: x, "entry": lambda: x.view(1)[0]})
    epochs = [train for train, _ in opt.iterate([[], []], learning_rate=1.0, max_updates=2)]
    assert epochs == [dict.fromkeys(("loss", "x", "entry"), mean) for mean in (2.5, 0.5)]
    assert x.item() == 3.0 - 4.0
    assert opt.get_updates(learning_rate=1.0)().item() == -1.0 and x.item() == -2.0


def test_squared_gradients_are_not_limited():
    x = scalar(3.0)
    opt = build("sgd", lambda: x * x, [x], monitor_gradients=True)
    train, valid = next(opt.iterate([[]], max_gradient_norm=1, learning_rate=1.0))
    assert train == valid == {"loss": 9.0, "grad(x)": 36.0} and x.item() == 2.0


def test_report():
    x, lines = scalar(1.0), []
    minimize(lambda: x * x, params=[x], algo="nag", learning_rate=0.25, max_updates=2, print=lines.append)
    assert "downhill learning_rate = 0.25" in lines and "downhill patience = 5" in lines
    assert lines[-5:] == [
        "downhill validation 0 loss=1 *",
        "downhill nag 1 loss=1",
        "downhill nag 2 loss=0.25",
        "downhill validation 1 loss=0.0625 *",
        "downhill 2 epochs made!",
    ]


def test_two_runs_are_alike():
    def run():
        torch.manual_seed(3)
        model = torch.nn.Linear(3, 1)
        z = torch.randn(50, 3)
        opt = build("esgd", lambda z: (model(z) - z.sum(1, keepdim=True)).square().mean(), model)
        opt.minimize(z, max_updates=3, batch_size=8, learning_rate=0.01, shuffle="rows", seed=5)
        return opt.validations

    assert run() == run()


# ---- parameters -----------------------------------------------------------------------------------------------------
W = torch.ones(2, requires_grad=True)


def test_parameters_are_found_and_named():
    model, inner = torch.nn.Linear(2, 2), scalar()
    frozen = torch.ones(2)
    opt = build("sgd", lambda z: (model(z) * frozen * W).sum() + inner**2, monitor_gradients=True)
    assert opt.params == []
    train, _ = next(opt.iterate([[torch.ones(2)]]))
    assert sorted(name for name, _ in opt.params) == ["W", "inner", "model.bias", "model.weight"]
    assert "grad(model.weight)" in train
    nameless = [torch.ones(n, requires_grad=True) for n in (1, 2)]
    listed = build("sgd", lambda: inner * 0, [nameless[0], inner, nameless[1]])
    assert [name for name, _ in listed.params] == ["unnamed0", "inner", "unnamed1"]
    assert [name for name, _ in build("sgd", abs, model).params] == ["weight", "bias"]
    assert [name for name, _ in build("sgd", abs, model.parameters()).params] == ["unnamed0", "unnamed1"]
    assert [name for name, _ in build("sgd", abs, inner).params] == ["unnamed0"]
    assert [name for name, _ in build("sgd", abs, [("a", inner)]).params] == ["a"]


def test_names_are_looked_for_where_a_loss_reads():
    f = Factors()
    assert [name for name, _ in build("sgd", f.loss, [f.u, f.v]).params] == ["u", "v"]
    inner, outer = scalar(), scalar()

    def part():
        return inner * later

    opt = build("sgd", partial(lambda scale: scale * outer * part(), 2.0), [outer, inner])
    assert [name for name, _ in opt.params] == ["outer", "inner"]
    if opt is None:
        later = 1.0


def test_updates_find_parameters_at_the_first_batch():
    x = scalar(1.0)
    update = build("sgd", lambda: x * x).get_updates(learning_rate=0.25)
    assert [update().item() for _ in range(3)] == [1.0, 0.25, 0.0625]


def test_modules_are_validated_in_evaluation_mode():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5), torch.nn.Linear(3, 1))
    model[1].eval()  # a part with a mode of its own keeps it
    data, modes = torch.randn(64, 3) + 2, []

    def loss(z):
        modes.append((torch.is_grad_enabled(), *(part.training for part in model)))
        return (model(z) - z.sum(1, keepdim=True)).square().mean()

    opt = build("adam", loss, model)
    epochs = opt.iterate(data, batch_size=16, learning_rate=0.1, max_updates=3, validate_every=1)
    for k, _ in enumerate(epochs):
        if k == 1:
            model[0].running_mean += 100.0  # the validations that follow are bad
    assert set(modes) == {(True, True, False, True), (False, False, False, False)}
    assert [part.training for part in model] == [True, False, True]
    assert opt.validations.index(opt.best_loss) == 1
    # buffers are those of the best validation, too
    model.eval()
    assert loss(data).item() == pytest.approx(opt.best_loss, rel=1e-6)


def test_parameters_that_a_loss_does_not_use_stay():
    x, idle = scalar(1.0), scalar(5.0)
    minimize(lambda: x * x, params=[x, idle], algo="adam", max_updates=3)
    assert idle.item() == 5.0 and x.item() != 1.0


def test_complex_parameters_are_pairs_of_numbers():
    z = torch.tensor([1 + 2j, 3j], dtype=torch.complex128, requires_grad=True)
    pairs = torch.tensor([[1.0, 2.0], [0.0, 3.0]], dtype=torch.float64, requires_grad=True)
    for algo in ("adam", "esgd"):
        one = build(algo, lambda: torch.view_as_real(z - 1).square().sum(), [z])
        two = build(algo, lambda: (pairs - torch.tensor([1.0, 0.0])).square().sum(), [pairs])
        one.minimize(learning_rate=0.1, max_updates=3)
        two.minimize(learning_rate=0.1, max_updates=3)
    torch.testing.assert_close(torch.view_as_real(z), pairs, rtol=1e-14, atol=0)


def test_parameters_may_differ_in_dtype():
    x, y = torch.ones(2, requires_grad=True), scalar(1.0)
    _, valid = minimize(
        lambda: x.square().sum() + y * y,
        params=[x, y],
        algo="adam",
        learning_rate=0.1,
        max_gradient_norm=1,
        max_steps=50,
    )
    assert (x.dtype, y.dtype) == (torch.float32, torch.float64) and valid["loss"] < 1e-2


def test_parameters_must_be_points():
    with pytest.raises(NotOnManifoldError):
        build("sgd", lambda: W.sum(), [torch.tensor(math.nan, requires_grad=True)]).get_updates()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    x = torch.ones(3, dtype=dtype, requires_grad=True)
    update = build("adam", lambda: x.square().sum(), [x]).get_updates()
    assert update().dtype == dtype and x.dtype == dtype and x.grad is None


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ([], "no parameters"),
        ([torch.ones(1)], "unnamed0 must be a tensor with requires_grad=True"),
        ([W * 1], "requires_grad"),
        ([W, W], "occurs twice"),
        ([3], "unnamed0 is a int"),
    ],
)
def test_wrong_parameters(params, match):
    with pytest.raises(OptionsError, match=match):
        build("sgd", abs, params)


def test_wrong_targets():
    opt = build("sgd", lambda: W.sum(), [W])
    with pytest.raises(OptionsError, match="no validation"):
        opt.set_params("best")
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        opt.set_params([torch.ones(1)])
    with pytest.raises(OptionsError, match="give W, got V"):
        opt.set_params({"V": torch.ones(2)})


# ---- manifolds ------------------------------------------------------------------------------------------------------
C = torch.diag(torch.tensor([1.0, 2.0, 3.0, 9.0], dtype=torch.float64))
FRAMES = Stiefel(4, 2)


def frame():
    generator = torch.Generator().manual_seed(0)
    return ManifoldParameter(FRAMES.random_point(dtype=torch.float64, generator=generator), FRAMES)


RATES = {"sgd": 0.05, "nag": 0.05, "rmsprop": 0.01, "adagrad": 0.3, "adadelta": 1.0, "esgd": 0.1, "adam": 0.1}


@pytest.mark.parametrize("algo", RATES)
def test_parameters_stay_on_their_manifold(algo):
    q, b = frame(), scalar(3.0)
    opt = build(algo, lambda: -(q.mT @ C @ q).diagonal().sum() + b * b, [q, b], monitor_gradients=True)
    opt.minimize(learning_rate=RATES[algo], momentum=0.5, max_gradient_norm=5.0, max_updates=150)
    assert FRAMES.off_manifold(q.detach()) < 1e-12
    # the least is -12; steps of adadelta begin with next to nothing
    assert opt.best_loss < (opt.validations[0] - 1 if algo == "adadelta" else -11.5)


def test_gradients_on_manifolds_are_riemannian():
    q = frame()
    opt = build("sgd", lambda: -(q.mT @ C @ q).diagonal().sum(), [q], monitor_gradients=True)
    train, _ = next(opt.iterate([[]], learning_rate=1e-30))
    x = q.detach()
    g = FRAMES.egrad2rgrad(x, -2 * C @ x)
    assert train["grad(q)"] == pytest.approx(FRAMES.inner(x, g, g).item())


def test_a_batch_of_points_is_a_power():
    M = Sphere(3)
    points = M.random_point(5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    many, one = ManifoldParameter(points.clone(), M), ManifoldParameter(points[2].clone(), M)
    for x in (many, one):
        update = build("adam", lambda x=x: x[..., 2].sum(), {"x": x}).get_updates(learning_rate=0.1)
        for _ in range(20):
            update()
    torch.testing.assert_close(many[2].detach(), one.detach(), rtol=1e-12, atol=1e-12)
    assert M.off_manifold(many.detach()).max() < 1e-12


@pytest.mark.parametrize(
    ("algo", "hyper", "match"),
    [("rprop", {}, "RpropRule changes single entries"), ("sgd", {"max_gradient_elem": 1.0}, "ClipValueRule")],
)
def test_rules_for_entries_are_refused_on_manifolds(algo, hyper, match):
    q = frame()
    with pytest.raises(OptionsError, match=match):
        build(algo, lambda: q.sum(), [q]).iterate([[]], **hyper)


# ---- what is refused ------------------------------------------------------------------------------------------------
@together()
@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({"max_gradient_clip": 1}, r"unknown keyword max_gradient_clip; .* takes max_updates, .*rms_regularizer"),
        ({"patience": -1}, "patience must be a number >= 0"),
        ({"min_improvement": math.nan}, "min_improvement"),
        ({"validate_every": 0}, "validate_every must be an int >= 1"),
        ({"max_updates": 1.5}, "max_updates must be an int >= 0 or None"),
        ({"monitors": {"loss": abs}}, "differ from each other and from 'loss'"),
        ({"monitors": [("err", 3)]}, "err must be a function"),
        ({"monitors": [abs]}, "pairs"),
        ({"formulas": "keras"}, "formulas"),
    ],
)
def test_wrong_keywords(keywords, match):
    with pytest.raises(OptionsError, match=match):
        minimize(lambda: W.sum(), params=[W], **keywords)


def test_keywords_are_checked_before_the_first_epoch():
    opt = build("sgd", lambda: W.sum(), [W])
    for call in (opt.iterate, opt.minimize, opt.get_updates):
        with pytest.raises(OptionsError, match="unknown keyword rms_halflife"):
            call(rms_halflife=3)
    with pytest.raises(OptionsError, match="build got unknown keyword inputs"):
        build("sgd", abs, [W], inputs=3)


def test_loss_elsewhere():
    x = scalar(3.0)
    update = build("sgd", lambda: x * x, [x]).get_updates()
    elsewhere = (torch.tensor(5.0, dtype=torch.float64),)
    assert update.problem.get_cost(elsewhere).item() == 25.0 and x.item() == 3.0


def test_losses_and_monitors_return_one_number():
    with pytest.raises(ShapeError, match="one number"):
        build("sgd", lambda: W, [W]).get_updates()()
    with pytest.raises(ShapeError, match="monitor 'w' must return one number"):
        minimize(lambda: W.sum(), params=[W], monitors={"w": lambda: W})
    with pytest.raises(OptionsError, match="loss must be a function"):
        build("sgd", W, [W])
    for value in ("high", None):
        with pytest.raises(ShapeError, match="monitor 'w' must return one number, got"):
            minimize(lambda: W.sum(), params=[W], monitors={"w": lambda value=value: value})


def test_a_loss_of_none_of_the_parameters_is_refused():
    """It may leave out some of them, and may be a parameter itself."""
    x, y = scalar(1.0), scalar(2.0)
    for loss in (lambda: y * y, lambda: (x.detach() * y) ** 2):
        with pytest.raises(MissingDerivativeError, match="does not depend on x through torch operations"):
            minimize(loss, params={"x": x}, max_updates=1)
    update = build("sgd", lambda: x, {"x": x, "y": y}).get_updates(learning_rate=0.5)
    update()
    assert (float(x.detach()), float(y.detach())) == (0.5, 2.0)


def test_a_loss_may_take_derivatives_inside():
    """The slope of x -> w x^2 at 2 is to be 12, hence w = 3; validation needs no gradient of the loss."""
    w = scalar(1.0)

    def loss():
        x = torch.tensor(2.0, dtype=w.dtype, requires_grad=True)
        return (torch.autograd.grad(w * x**2, x, create_graph=True)[0] - 12) ** 2

    _, valid = minimize(loss, params=[w], algo="sgd", learning_rate=0.02, max_updates=40, monitors={"twice": loss})
    assert valid["loss"] == valid["twice"] < 1e-12
    assert abs(float(w.detach()) - 3) < 1e-6
