"""Parameters with a manifold, through everything that torch does to parameters."""

import copy
import io
import pickle

import pytest
import torch

from manopt_torch import ManifoldParameter
from manopt_torch.errors import NotOnManifoldError, OptionsError, ShapeError
from manopt_torch.manifolds import ComplexCircle, Euclidean, FixedRank, Product, Sphere, Stiefel


class Layer(torch.nn.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        M = Stiefel(4, 2)
        self.weight = ManifoldParameter(M.random_point(generator=torch.Generator().manual_seed(seed)), M)
        self.bias = torch.nn.Parameter(torch.zeros(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


def assert_is_parameter(p: torch.Tensor, M: type = Stiefel, requires_grad: bool = True) -> None:
    assert type(p) is ManifoldParameter and isinstance(p, torch.nn.Parameter)
    assert isinstance(p.manifold, M) and p.requires_grad is requires_grad and p.is_leaf


def test_modules_register_it_and_autograd_fills_its_gradient() -> None:
    layer = Layer()
    assert dict(layer.named_parameters())["weight"] is layer.weight
    layer(torch.ones(3, 4)).square().sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.shape == (4, 2)
    assert type(layer.weight * 2) is torch.Tensor and type(layer.weight.detach()) is torch.Tensor


def test_points_are_checked() -> None:
    M = Sphere(3)
    with pytest.raises(NotOnManifoldError, match=r"batch indices \[\(1,\)\] is off Sphere"):
        ManifoldParameter(torch.stack([torch.eye(3)[0], torch.ones(3)]), M)
    with pytest.raises(ShapeError, match=r"\(\*batch, 3\), got \(4,\)"):
        ManifoldParameter(torch.eye(4)[0], M)
    for data in (torch.tensor([1, 0, 0]), [1.0, 0.0, 0.0]):
        with pytest.raises(OptionsError, match=r"floating or complex numbers, got (torch.int64|list)"):
            ManifoldParameter(data, M)
    for product in (Product(M, Euclidean(2)), FixedRank(3, 2, 1)):
        with pytest.raises(OptionsError, match="are tuples: make a ManifoldParameter of each part"):
            ManifoldParameter(torch.eye(3)[0], product)
    with pytest.raises(OptionsError, match="second argument is a manifold"):
        ManifoldParameter(torch.eye(3)[0], "sphere")


def test_batches_and_complex_points_are_welcome() -> None:
    assert ManifoldParameter(Sphere(3).random_point(2, 5), Sphere(3)).shape == (2, 5, 3)
    phase = ManifoldParameter(torch.tensor(1j), ComplexCircle(), requires_grad=False)
    assert phase.is_complex()
    assert_is_parameter(phase, ComplexCircle, requires_grad=False)


def test_copies_keep_the_manifold_and_no_memory() -> None:
    layer = Layer()
    twin = copy.deepcopy(layer)
    assert_is_parameter(twin.weight)
    assert torch.equal(twin.weight, layer.weight) and twin.weight.data_ptr() != layer.weight.data_ptr()
    shared = [layer.weight, layer.weight]
    first, second = copy.deepcopy(shared)
    assert first is second
    frozen = copy.deepcopy(ManifoldParameter(torch.eye(3)[0], Sphere(3), requires_grad=False))
    assert_is_parameter(frozen, Sphere, requires_grad=False)


def test_pickle_and_save_keep_the_manifold() -> None:
    layer = Layer()
    assert_is_parameter(pickle.loads(pickle.dumps(layer)).weight)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert_is_parameter(again.weight)
    assert torch.equal(again.weight, layer.weight)
    with torch.no_grad():
        layer.weight.mul_(2)  # a point that was moved off is saved as it is
    assert torch.equal(pickle.loads(pickle.dumps(layer.weight)), layer.weight)


def test_weights_round_trip_through_a_file_of_plain_tensors() -> None:
    first, second = Layer(0), Layer(1)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert type(state["weight"]) is torch.Tensor
    second.load_state_dict(state)
    assert_is_parameter(second.weight)
    assert torch.equal(second.weight, first.weight)
    second.load_state_dict(Layer(2).state_dict(), assign=True)  # which replaces the parameter: torch makes it plain
    assert torch.equal(second.weight, Layer(2).weight)


@pytest.mark.parametrize("convert", [torch.nn.Module.double, lambda m: m.to(torch.float64), lambda m: m.to("meta")])
def test_modules_convert_it(convert) -> None:
    layer = Layer().requires_grad_(False)
    converted = convert(layer)
    assert not converted.weight.requires_grad
    if not converted.weight.is_meta:
        assert_is_parameter(converted.weight, requires_grad=False)
        assert converted.weight.dtype == torch.float64


def test_projection_brings_it_back_after_rounding() -> None:
    weight = Layer().double().weight
    M = weight.manifold
    assert M.off_manifold(weight.detach()) > M.tolerance(torch.float64) / 100
    assert weight.project_() is weight
    M.check_point(weight.detach())
    assert M.off_manifold(weight.detach()) < 1e-15 * 10
    assert weight.requires_grad and weight.is_leaf


def test_a_plain_optimizer_and_functional_calls_take_it() -> None:
    layer, x = Layer(), torch.ones(3, 4)
    torch.optim.SGD(layer.parameters(), lr=0.1).step()
    values = torch.func.functional_call(layer, {"weight": torch.zeros(4, 2)}, (x,))
    assert torch.equal(values, torch.zeros(3, 2))
    assert repr(layer.weight).startswith("ManifoldParameter on Stiefel(4, 2) containing:\ntensor([[")
