"""Levenberg-Marquardt for networks: the step against dense linear algebra, its forms, its memory, its refusals."""

import copy
import io
import itertools

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from manopt_torch import ManifoldParameter, NonFiniteError, OptionsError, ShapeError, Sphere
from manopt_torch.training import (
    CrossEntropyLoss,
    HuberLoss,
    LayerSelectionStrategy,
    LevenbergMarquardtModule,
    MSELoss,
    RandomSelectionStrategy,
    ResidualLoss,
    StandardDampingStrategy,
)
from tests.together import together

METHODS = ["qr", "cholesky", "solve", "lstsq", "svd"]
MODES = ["standard", "fletcher", "adaptive"]


def net(*sizes, seed=0, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in itertools.pairwise(sizes)]
        return nn.Sequential(*layers[:-1], layers[-1][0]).to(dtype)


def data(samples, inputs=2, outputs=3, seed=1, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, inputs, generator=g, dtype=dtype)
    return x, torch.randn(samples, outputs, generator=g, dtype=dtype)


def flat(model):
    return torch.cat([p.detach().reshape(-1).clone() for p in model.parameters()])


def dense(model, x, y):
    """Residuals and Jacobian of a batch by autograd, one row after the other."""
    params = [p for p in model.parameters() if p.requires_grad]
    r = (model(x) - y).reshape(-1)
    rows = [torch.autograd.grad(e, params, retain_graph=True) for e in r]
    return r.detach(), torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])


def expected_step(model, x, y, damping, mode):
    """The step by the normal equations with all parameters, whatever the form that the module takes."""
    r, J = dense(model, x, y)
    A = J.mT @ J / len(x)
    D = {
        "standard": torch.ones_like(A.diagonal()),
        "fletcher": A.diagonal(),
        "adaptive": torch.full_like(A.diagonal(), float(A.diagonal().max())),
    }[mode]
    return torch.linalg.solve(A + damping * torch.diag(D), J.mT @ r / len(x))


def step_of(model, x, y, steps=1, **keywords):
    """What one attempt, accepted at the first damping, subtracts from the parameters."""
    before = flat(model)
    module = LevenbergMarquardtModule(model, **keywords)
    for _ in range(steps):
        start = flat(model)
        result = module.training_step(x, y)
    assert result.logs["attempts"] == 1 and not result.stop
    return (before if steps == 1 else start) - flat(model)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("samples", [40, 3], ids=["overdetermined", "underdetermined"])
@pytest.mark.parametrize("rows", [None, 8], ids=["whole", "split"])
@pytest.mark.parametrize("vectorized", [True, False], ids=["vmap", "loop"])
def test_step_is_that_of_the_normal_equations(mode, samples, rows, vectorized):
    model = net(2, 4, 3)
    x, y = data(samples)
    wanted = expected_step(model, x, y, 1.0, mode)
    damping = StandardDampingStrategy(1.0, damping_mode=mode)
    got = step_of(model, x, y, damping_strategy=damping, jacobian_max_num_rows=rows, vectorize_jacobian=vectorized)
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_solve_methods_agree(method):
    x, y = data(30)
    wanted = expected_step(net(2, 4, 3), x, y, 0.1, "standard")
    got = step_of(net(2, 4, 3), x, y, solve_method=method, damping_strategy=StandardDampingStrategy(0.1))
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("step", [1, 2, 3], ids=["called", "recorded", "played"])
def test_what_is_recorded_is_what_is_computed(step):
    x, y = data(30)
    model, other = net(2, 4, 3), net(2, 4, 3)
    looped = LevenbergMarquardtModule(other, vectorize_jacobian=False)
    module = LevenbergMarquardtModule(model)
    for _ in range(step):
        a, b = module.training_step(x, y), looped.training_step(x, y)
    torch.testing.assert_close(flat(model), flat(other), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(a.outputs, model(x).detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(a.loss, b.loss, rtol=1e-7, atol=0)


def test_forward_mode_where_a_sample_has_more_residuals_than_there_are_columns():
    model, (x, y) = net(2, 1, 9), data(12, outputs=9)
    model[1].weight.requires_grad_(False)
    model[1].bias.requires_grad_(False)
    r, J = dense(model, x, y)
    assert J.shape == (108, 3)
    before = flat(model[0])
    LevenbergMarquardtModule(model, damping_strategy=StandardDampingStrategy(1.0)).training_step(x, y)
    wanted = torch.linalg.solve(J.mT @ J / 12 + torch.eye(3, dtype=J.dtype), J.mT @ r / 12)
    torch.testing.assert_close(before - flat(model[0]), wanted, rtol=1e-9, atol=1e-12)


class Largest(TorchDispatchMode):
    """The largest tensor that an operation makes, views left out."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and not func.is_view:
            self.numel = max(self.numel, out.numel())
        return out


@pytest.mark.parametrize(("samples", "rows"), [(240, 12), (30, 5)], ids=["overdetermined", "underdetermined"])
def test_split_memory_is_bounded_by_the_chunk(samples, rows):
    model, (x, y) = net(2, 6, 3), data(samples)
    parameters = sum(p.numel() for p in model.parameters())
    if samples == 30:
        model, (x, y) = net(2, 30, 1), data(samples, outputs=1)
        parameters = sum(p.numel() for p in model.parameters())
        assert samples < parameters
    module = LevenbergMarquardtModule(model, jacobian_max_num_rows=rows)
    for _ in range(3):
        with Largest() as seen:
            module.training_step(x, y)
    small = min(samples * y.shape[1], parameters)
    bound = max(rows * parameters, small**2, samples * 30)
    assert seen.numel <= bound < samples * y.shape[1] * parameters


def test_rows_are_rounded_to_whole_samples():
    model = net(2, 4, 3)
    for rows, ranges in ((8, [(0, 2), (2, 4), (4, 6), (6, 7)]), (1, [(k, k + 1) for k in range(7)]), (99, [(0, 7)])):
        linearization = LevenbergMarquardtModule(model, jacobian_max_num_rows=rows)._linearization
        assert linearization._split(7, 3).ranges() == ranges


class Counting(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.__dict__["count"] = [0]  # a list: nothing that a recording depends on

    @property
    def calls(self):
        return self.__dict__["count"][0]

    def forward(self, x):
        self.__dict__["count"][0] += 1
        return self.inner(x)


def test_the_model_is_traced_once():
    model, (x, y) = Counting(net(2, 4, 3)), data(40)
    module = LevenbergMarquardtModule(model)
    module.training_step(x, y)
    module.training_step(x, y)
    before = model.calls
    for _ in range(12):
        module.training_step(x, y)
    assert model.calls == before


class Scaled(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.scale, self.box = inner, 1.0, [1.0]

    def forward(self, x):
        return self.scale * self.box[0] * self.inner(x)


@pytest.mark.parametrize("where", ["attribute", "container"])
def test_a_change_of_the_model_is_noticed(where):
    model, (x, y) = Scaled(net(2, 4, 3)), data(40)
    module = LevenbergMarquardtModule(model)
    for _ in range(4):
        module.training_step(x, y)
    if where == "attribute":
        model.scale = 3.0
        result = module.training_step(x, y)
    else:
        model.box[0] = 3.0
        for _ in range(16):
            result = module.training_step(x, y)
    torch.testing.assert_close(result.outputs, model(x).detach())


def test_other_trainers_may_come_between():
    model, (x, y) = net(2, 4, 3), data(40)
    module = LevenbergMarquardtModule(model)
    for _ in range(3):
        module.training_step(x, y)
    state = copy.deepcopy(model.state_dict())
    torch.optim.SGD(model.parameters(), 0.1).step()
    model.load_state_dict({name: torch.zeros_like(t) for name, t in state.items()})
    result = module.training_step(x, y)
    assert float(result.loss) < float(MSELoss()(torch.zeros_like(y), y))
    model.float()
    assert module.training_step(x.float(), y.float()).loss.dtype is torch.float32


# ---- attempts --------------------------------------------------------------------------------------------------------


class Inconsistent(MSELoss):
    """A loss that every step along its residuals makes worse."""

    def forward(self, outputs, targets):
        return (outputs + 5).square().mean()


def test_a_step_without_success_leaves_everything_as_it_was():
    # torch-levenberg-marquardt keeps the last, worse, step and later jumps back to the one before the last good one
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    x, y = torch.ones(4, 1), torch.zeros(4, 1)
    damping = StandardDampingStrategy(max_value=1e30)
    module = LevenbergMarquardtModule(
        model, Inconsistent(), learning_rate=1.0, attempts_per_step=2, damping_strategy=damping
    )
    with torch.no_grad():
        y += 10.0  # residuals pull up, the loss pulls down
    for _ in range(3):
        result = module.training_step(x, y)
    assert float(model.weight.detach()) == 1.0 and float(result.loss) == 36.0
    assert result.logs == {"damping_factor": pytest.approx(1e3), "attempts": 2} and not result.stop
    torch.testing.assert_close(result.outputs, torch.ones(4, 1))


def test_the_stop_flag_is_raised_at_the_largest_damping():
    model, (x, y) = nn.Linear(2, 3).double(), data(10)
    module = LevenbergMarquardtModule(model)
    for _ in range(40):
        result = module.training_step(x, y)
        if result.stop:
            break
    assert result.stop and result.logs["damping_factor"] == 1e10
    best = torch.linalg.lstsq(torch.cat([x, torch.ones(10, 1).double()], 1), y).solution
    torch.testing.assert_close(torch.cat([model.weight.T, model.bias[None]]).detach(), best, rtol=1e-6, atol=1e-6)


def test_each_batch_counts_by_its_own_size():
    # torch-levenberg-marquardt divides by the size of the first batch, and keeps its form
    model = net(2, 4, 3)
    module = LevenbergMarquardtModule(model, damping_strategy=StandardDampingStrategy(1.0, 1.0, 1.0))
    module.training_step(*data(40))
    x, y = data(3, seed=5)
    wanted, before = expected_step(model, x, y, 1.0, "standard"), flat(model)
    module.training_step(x, y)
    torch.testing.assert_close(before - flat(model), wanted, rtol=1e-9, atol=1e-12)


def test_learning_rate_scales_the_step():
    x, y = data(30)
    damping = StandardDampingStrategy(1.0, 1.0, 1.0)
    whole, half = (step_of(net(2, 4, 3), x, y, learning_rate=rate, damping_strategy=damping) for rate in (1.0, 0.5))
    torch.testing.assert_close(half, whole / 2)


@pytest.mark.parametrize(("dtype", "solve"), [(torch.float32, torch.float64), (torch.bfloat16, torch.float32)])
def test_low_precision_models_solve_in_a_chosen_dtype(dtype, solve):
    x, y = data(60, dtype=dtype)
    model = net(2, 4, 3, dtype=dtype)
    first = float(MSELoss()(model(x), y).detach())
    module = LevenbergMarquardtModule(model, solve_dtype=solve)
    for _ in range(5):
        result = module.training_step(x, y)
    assert result.loss.dtype is dtype and float(result.loss) < 0.97 * first


# ---- selections ------------------------------------------------------------------------------------------------------


def test_layers_take_turns():
    model, (x, y) = net(2, 4, 3), data(40)
    module = LevenbergMarquardtModule(
        model, param_selection_strategy=LayerSelectionStrategy(model.parameters(), "cyclic")
    )
    for k in list(range(4)) * 2:
        before = [p.detach().clone() for p in model.parameters()]
        module.training_step(x, y)
        assert [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)] == [
            j == k for j in range(4)
        ]


@pytest.mark.parametrize("samples", [40, 1], ids=["overdetermined", "underdetermined"])
@pytest.mark.parametrize("vectorized", [True, False], ids=["vmap", "loop"])
def test_a_random_subset_takes_the_step_of_its_columns(samples, vectorized):
    model, (x, y) = net(2, 4, 3), data(samples)
    draw = RandomSelectionStrategy(model.parameters(), 9, torch.Generator().manual_seed(0))
    chosen = RandomSelectionStrategy(model.parameters(), 9, torch.Generator().manual_seed(0)).select_parameters()
    r, J = dense(model, x, y)
    J, before = J[:, chosen], flat(model)
    LevenbergMarquardtModule(
        model,
        param_selection_strategy=draw,
        vectorize_jacobian=vectorized,
        damping_strategy=StandardDampingStrategy(1.0),
    ).training_step(x, y)
    wanted = torch.zeros_like(before)
    wanted[chosen] = torch.linalg.solve(J.mT @ J / samples + torch.eye(9, dtype=J.dtype), J.mT @ r / samples)
    torch.testing.assert_close(before - flat(model), wanted, rtol=1e-9, atol=1e-12)


class Own:
    def __init__(self, numbers):
        self.numbers = numbers

    def select_parameters(self):
        return self.numbers


def test_selections_of_ones_own():
    model, (x, y) = net(2, 4, 3), data(20)
    mask = torch.zeros(27, dtype=torch.bool)
    mask[3] = True
    for numbers in (torch.tensor([3]), mask):
        before = flat(model)
        LevenbergMarquardtModule(model, param_selection_strategy=Own(numbers)).training_step(x, y)
        assert (before != flat(model)).nonzero().flatten().tolist() == [3]
    for numbers in (torch.tensor([27]), torch.tensor([]), torch.tensor([0.5]), mask[:5], [0, 1], "all"):
        with pytest.raises(OptionsError, match="select_parameters"):
            LevenbergMarquardtModule(model, param_selection_strategy=Own(numbers)).training_step(x, y)


# ---- models ----------------------------------------------------------------------------------------------------------


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(2, 3)
        self.b.weight = self.a.weight  # tied

    def forward(self, x, z):
        return {"sum": self.a(x) + self.b(z), "label": torch.ones(len(x), dtype=torch.long)}


@pytest.mark.parametrize("kind", [tuple, list, dict])
def test_batches_may_be_trees(kind):
    model = Two().double()
    (x, y), (z, _) = data(20), data(20, seed=3)
    inputs = {"x": x, "z": z} if kind is dict else kind([x, z])
    loss = ResidualLoss(lambda out, target: (out["sum"] - target["y"]) ** 2)
    module = LevenbergMarquardtModule(model, loss)
    losses = [float(module.training_step(inputs, {"y": y}).loss) for _ in range(6)]
    design = torch.cat([x + z, torch.ones(20, 1).double()], 1)
    best = design @ torch.linalg.lstsq(design, y).solution - y
    assert losses[-1] == pytest.approx(float((best**2).mean()), rel=1e-4)


@pytest.mark.parametrize(
    ("layer", "match"),
    [
        (nn.BatchNorm1d(4), "BatchNorm1d '1' in training mode mixes the samples.*eval"),
        (nn.BatchNorm1d(4, track_running_stats=False), "vectorize_jacobian=False"),
        (nn.Dropout(0.5), "Dropout '1' in training mode draws random numbers.*eval"),
    ],
)
def test_layers_without_a_jacobian_are_refused(layer, match):
    model = nn.Sequential(nn.Linear(2, 4), layer, nn.Linear(4, 3)).double()
    with pytest.raises(OptionsError, match=match):
        LevenbergMarquardtModule(model).training_step(*data(8))


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.Dropout(0.5)])
def test_they_are_trained_in_evaluation_mode(layer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), layer, nn.Linear(4, 3)).double()
    module = LevenbergMarquardtModule(model)
    model.eval()
    x, y = data(30)
    before = float(MSELoss()(model(x), y).detach())
    losses = [float(module.training_step(x, y).loss) for _ in range(4)]
    assert losses[-1] <= losses[0] < before


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


def test_mixed_samples_are_noticed_and_taken_as_a_whole():
    model, (x, y) = nn.Sequential(nn.Linear(2, 4), Centred(), nn.Linear(4, 3)).double(), data(12)
    with pytest.raises(OptionsError, match="samples are mixed.*vectorize_jacobian=False"):
        LevenbergMarquardtModule(model).training_step(x, y)
    wanted = expected_step(model, x, y, 0.5, "standard")
    got = step_of(
        model,
        x,
        y,
        vectorize_jacobian=False,
        jacobian_max_num_rows=10,
        damping_strategy=StandardDampingStrategy(0.5),
    )
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.randn(3, dtype=x.dtype)


class Gated(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else -super().forward(x)


class Recurrent(nn.GRU):
    """Writes a state in place, for which `vmap` has an error of its own kind."""

    def forward(self, x):
        return super().forward(x[:, None])[0][:, -1]


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (Noisy(2, 3), "draws random numbers"),
        (Gated(2, 3), "vectorize_jac"),
        (Recurrent(2, 3, batch_first=True), "vectorize_jac"),
    ],
    ids=["noisy", "gated", "recurrent"],
)
def test_what_vmap_cannot_take_is_explained(model, match):
    with pytest.raises(OptionsError, match=match):
        LevenbergMarquardtModule(model.double()).training_step(*data(8))
    if not isinstance(model, Noisy):
        LevenbergMarquardtModule(model, vectorize_jacobian=False).training_step(*data(8))


class Reading(nn.Linear):
    """Reads a value on the host, which a recording could not know of."""

    def forward(self, x):
        return super().forward(x) * (1.0 if self.bias.detach().sum() > 1e9 else 2.0)


def test_what_cannot_be_recorded_is_called():
    model, (x, y) = Reading(2, 3).double(), data(30)
    module = LevenbergMarquardtModule(model)
    for _ in range(4):
        result = module.training_step(x, y)
    torch.testing.assert_close(result.outputs, model(x).detach())


# ---- refusals --------------------------------------------------------------------------------------------------------


@together()
@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({"loss_fn": nn.MSELoss()}, "ResidualLoss"),
        ({"loss_fn": MSELoss}, "call it"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"attempts_per_step": 2.5}, "attempts_per_step must be an int"),
        ({"jacobian_max_num_rows": 2.5}, "jacobian_max_num_rows must be an int"),
        ({"solve_dtype": torch.int32}, "solve_dtype"),
        ({"param_selection_strategy": object()}, "select_parameters"),
        ({"param_selection_strategy": RandomSelectionStrategy}, "select_parameters"),
        ({"attempts_per_step": 0}, "attempts_per_step"),
        ({"solve_method": "lu"}, "solve_method"),
        ({"jacobian_max_num_rows": 0}, "jacobian_max_num_rows"),
        ({"damping_strategy": object()}, "it has no reset, get_current_damping"),
        ({"damping_strategy": StandardDampingStrategy}, "call it"),
    ],
)
def test_arguments_are_checked(keywords, match):
    with pytest.raises(OptionsError, match=match):
        LevenbergMarquardtModule(nn.Linear(1, 1), **keywords)


def test_models_are_checked():
    frozen = nn.Linear(1, 1).requires_grad_(False)
    curved = nn.Linear(3, 1)
    curved.extra = ManifoldParameter(torch.eye(3)[0], Sphere(3))
    for model, match in (
        (frozen, "no parameter"),
        (torch.relu, "torch.nn.Module"),
        (nn.Linear(1, 1, dtype=torch.complex64), "complex64"),
        (curved, "'extra' lives on Sphere"),
    ):
        with pytest.raises(OptionsError, match=match):
            LevenbergMarquardtModule(model)


def test_batches_are_checked():
    module = LevenbergMarquardtModule(nn.Linear(2, 3).double())
    x, y = data(6)
    for inputs, targets, match in (
        (x, y[:3], "same number of samples"),
        (x[:0], y[:0], "same number of samples"),
        ("x", y, "got str"),
    ):
        with pytest.raises(ShapeError, match=match):
            module.training_step(inputs, targets)
    with pytest.raises(NonFiniteError, match="loss is nan"):
        module.training_step(x * torch.nan, y)


def test_parameters_may_be_exchanged_and_frozen():
    model, (x, y) = net(2, 4, 3), data(20)
    module = LevenbergMarquardtModule(model)
    module.training_step(x, y)
    fresh = net(2, 4, 3, seed=5)
    model.load_state_dict({name: t.clone() for name, t in fresh.state_dict().items()}, assign=True)
    twin = LevenbergMarquardtModule(fresh, damping_strategy=copy.deepcopy(module.damping_strategy))
    assert float(module.training_step(x, y).loss) == float(twin.training_step(x, y).loss)
    assert torch.equal(flat(model), flat(fresh))
    first = next(model.parameters()).requires_grad_(False)
    before = first.clone()
    loss = module.training_step(x, y).loss
    assert torch.equal(first, before) and float(loss) == float(MSELoss()(model(x), y).detach())


def test_modules_go_through_copies_and_files():
    module, (x, y) = LevenbergMarquardtModule(net(2, 4, 3)), data(20)
    for _ in range(3):
        module.training_step(x, y)
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    twins = copy.deepcopy(module), torch.load(buffer, weights_only=False)
    loss = module.training_step(x, y).loss
    for twin in twins:
        torch.testing.assert_close(twin.training_step(x, y).loss, loss, rtol=1e-12, atol=0)
        torch.testing.assert_close(flat(twin.model), flat(module.model), rtol=1e-12, atol=0)


def test_losses_of_ones_own_are_checked():
    class Own(MSELoss):
        def __init__(self, value, residuals):
            super().__init__()
            self.value, self.kept = value, residuals

        def forward(self, outputs, targets):
            return self.value

        def residuals(self, outputs, targets):
            return (outputs - targets) if self.kept else "none"

    for loss, match in (
        (Own(torch.ones(3), True), r"loss must be a tensor of one number, got shape \(3,\): reduce it"),
        (Own(None, True), "one number, got NoneType"),
        (Own(torch.ones(()), False), "residuals as a tensor, got str"),
    ):
        with pytest.raises(ShapeError, match=match):
            LevenbergMarquardtModule(net(2, 3), loss).training_step(*data(4))


def test_a_jacobian_that_is_not_finite_is_named():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    steep = ResidualLoss(lambda out, target: 1 + (out - target).abs().sqrt())
    with pytest.raises(NonFiniteError, match="Jacobian of the residuals is nan"):
        LevenbergMarquardtModule(model, steep).training_step(torch.ones(3, 1), torch.zeros(3, 1))
    assert float(model.weight.detach()) == 0.0


def test_state_dict_holds_the_damping():
    x, y = data(20)
    module = LevenbergMarquardtModule(net(2, 4, 3))
    for _ in range(3):
        module.training_step(x, y)
    other = LevenbergMarquardtModule(net(2, 4, 3, seed=8))
    other.load_state_dict(module.state_dict())
    assert other.damping_strategy.get_current_damping() == module.damping_strategy.get_current_damping() != 1e-3
    a, b = module.training_step(x, y), other.training_step(x, y)
    torch.testing.assert_close(a.loss, b.loss)
    module.reset()
    assert module.damping_strategy.get_current_damping() == 1e-3


def test_classes_are_learnt():
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    x = torch.randn(90, 2, generator=g) * 0.3 + torch.tensor([[0.0, 2.0], [2.0, 0.0], [-2.0, -2.0]])[labels]
    module = LevenbergMarquardtModule(net(2, 5, 3, dtype=torch.float32), CrossEntropyLoss(), 0.5)
    for _ in range(15):
        result = module.training_step(x, labels)
    assert (result.outputs.argmax(1) == labels).all() and float(result.loss) < 0.01


def test_inputs_that_share_memory_are_told_apart():
    # a recording made where targets are the inputs must not take them for one when they are not
    model, other = net(3, 2, 3), net(3, 2, 3)
    x = data(20, inputs=3)[0]
    module = LevenbergMarquardtModule(model)
    for _ in range(3):
        module.training_step(x, x)
    other.load_state_dict(model.state_dict())
    fresh = LevenbergMarquardtModule(other, damping_strategy=copy.deepcopy(module.damping_strategy))
    y = x.flip(0)
    module.training_step(x, y)
    fresh.training_step(x, y)
    torch.testing.assert_close(flat(model), flat(other), rtol=1e-9, atol=1e-11)


def test_the_loss_may_be_exchanged():
    model, other, (x, y) = net(2, 4, 3), net(2, 4, 3), data(20)
    module = LevenbergMarquardtModule(model)
    module.training_step(x, y)
    other.load_state_dict(model.state_dict())
    module.loss_fn = HuberLoss(0.1)
    fresh = LevenbergMarquardtModule(other, HuberLoss(0.1), damping_strategy=copy.deepcopy(module.damping_strategy))
    results = [each.training_step(x, y) for each in (module, fresh)]
    torch.testing.assert_close(results[0].loss, results[1].loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(flat(model), flat(other), rtol=1e-12, atol=1e-13)


class Reshaped(nn.Module):
    """A bias that is not added to the columns of the product before it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(data(6, inputs=2, seed=4)[0])
        self.bias = nn.Parameter(torch.arange(3.0, dtype=torch.float64))

    def forward(self, x):
        return self.bias + (x @ self.weight.T).reshape(len(x), 2, 3)


def test_recordings_keep_shapes_apart():
    model, (x, y) = Reshaped(), data(12, outputs=6)
    y = y.reshape(12, 2, 3)
    for step in range(4):
        wanted, before = expected_step(model, x, y, 1.0, "standard"), flat(model)
        if step == 0:
            module = LevenbergMarquardtModule(model, damping_strategy=StandardDampingStrategy(1.0, 1.0, 1.0))
        module.training_step(x, y)
        torch.testing.assert_close(before - flat(model), wanted, rtol=1e-9, atol=1e-12)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ShapeError, match="add or remove an axis"):
        LevenbergMarquardtModule(nn.Linear(2, 1).double()).training_step(data(5)[0], torch.zeros(5).double())


class Slope(nn.Module):
    """The derivative of a network by its input, as physics-informed losses take it."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self.inner(x).sum(), x, create_graph=True)[0]


class Parabola(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x):
        return self.weight * x**2


def test_outputs_may_be_derivatives_by_the_inputs():
    """The slope 2 w x fits 6 x for w = 3, in one step next to no damping: the residuals are linear in w."""
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    model = Slope(Parabola())
    damping = StandardDampingStrategy(1e-10, 1.0, 1.0)
    with pytest.raises(OptionsError, match="vectorize_jacobian=False"):
        LevenbergMarquardtModule(model, damping_strategy=damping).training_step(x, 6 * x)
    module = LevenbergMarquardtModule(model, damping_strategy=damping, vectorize_jacobian=False)
    result = module.training_step(x, 6 * x)
    torch.testing.assert_close(model.inner.weight.detach(), torch.tensor(3.0, dtype=torch.float64))
    torch.testing.assert_close(result.outputs, 6 * x)
    assert not result.outputs.requires_grad and result.logs["attempts"] == 1
