import inspect

import pytest
import torch

from manopt_torch import OptionsError
from manopt_torch import training as tz
from tests.together import together

# what has to be given, in the order of reference and seed; all else constructs with its defaults
GIVEN = {
    "Chain": ([],),
    "Lambda": (torch.relu,),
    "get_line_search": ("backtracking",),
    "Wrap": (torch.optim.SGD,),
    "OptimizerWrapper": (torch.optim.SGD,),
    "ClosureOptimizerWrapper": (torch.optim.LBFGS,),
    "UninitializedClosureOptimizerWrapper": (torch.optim.LBFGS,),
    "Subspace": (tz.ProjRandom(3),),
}
MODULES = """
Chain LR Lambda Reciprocal NanToNum Sign ClipValue ClipNorm Normalize PolyakMomentum NesterovMomentum GradientAveraging
RandomCoordinateMomentum RandomCoordinateNesterovMomentum SGD Adam Cautious Dropout LRDropout AddNoise NoiseRule
WeightDecay LaplacianSmoothing ApproxGaussianSmoothing FDM RandomizedFDM NewtonFDM ExactNewton NewtonGradFDM Subspace
GridLS BacktrackingLS MultiplicativeLS LinspaceLS ArangeLS ScipyMinimizeScalarLS MinimizeQuadraticLS
MinimizeQuadratic3PointsLS QuadraticInterpolation2Point get_line_search NegateOnLossIncrease ZeroOnLossIncrease Wrap
OptimizerWrapper ClosureOptimizerWrapper UninitializedClosureOptimizerWrapper SetGrad MakeClosure
MakeClosureFromModules RandomSearch CyclicRS QuasiNewton
""".split()
PROJECTIONS = """
ProjRandom Proj2Masks ProjAscent ProjAscentRay ProjGrad ProjGradRay ProjGradAscentDifference ProjLastGradDifference
ProjLastAscentDifference ProjNormalize
""".split()
OPTIMIZERS = """
SPSA RandomGaussianSmoothing FDMWrapper RandomizedFDMWrapper RandomSubspaceNewtonFDM NewtonFDMRaySearch
NewtonGradFDMRaySearch LBFGSRaySearch ScipyMinimize ScipyDE
""".split()


def trained(make, steps=6):
    """Return the losses of a model of a few tensors, among them a scalar."""
    torch.manual_seed(0)
    a = torch.nn.Parameter(torch.tensor([[0.5, -0.4, 0.3], [0.2, 0.1, -0.6]], dtype=torch.float64))
    b = torch.nn.Parameter(torch.tensor(0.8, dtype=torch.float64))
    optimizer = make([a, b])

    def closure(backward=True):
        loss = (a * a).sum() + (b - 0.2) ** 2 + 0.1 * (a.sum() * b) ** 2
        if backward:
            optimizer.zero_grad()
            loss.backward()
        return loss

    first = closure(False).item()
    for _ in range(steps):
        optimizer.step(closure)
    return first, closure(False).item()


@together()
@pytest.mark.parametrize("name", MODULES)
def test_module_constructs_and_steps(name):
    make = lambda: getattr(tz, name)(*GIVEN.get(name, ()))  # noqa: E731
    before, after = trained(lambda q: tz.ModularOptimizer(q, [make(), tz.LR(1e-3)]), 2)
    assert after == after and after < float("inf")
    assert repr(make())
    # these have their own idea of the direction; the others descend
    if name not in ("Reciprocal",):
        assert after <= before * (1 + 1e-3)


@together()
@pytest.mark.parametrize("name", PROJECTIONS)
def test_projection_constructs_and_steps(name):
    projection = getattr(tz, name)()
    before, after = trained(
        lambda q: tz.ModularOptimizer(q, [tz.Subspace(tz.ProjNormalize(projection, tz.ProjGrad())), tz.LR(0.05)]), 2
    )
    assert after < before
    assert name in repr(projection)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_constructs_and_descends(name):
    settings = {"maxiter": 3, "rng": 0, "popsize": 4} if name == "ScipyDE" else {}
    before, after = trained(lambda q: getattr(tz, name)(q, **settings), 2)
    assert after < before or name == "ScipyDE"


def test_names_are_functions_with_descriptions():
    for name in MODULES + PROJECTIONS + OPTIMIZERS:
        assert inspect.getdoc(getattr(tz, name)), name


@pytest.mark.parametrize(
    "name", "backtracking multiplicative brent brent-exact brent-norm quadratic quadratic-3 linspace arange".split()
)
def test_searches_by_name(name):
    before, after = trained(lambda q: tz.ModularOptimizer(q, [tz.get_line_search(name)]), 3)
    assert after < before


def test_bad_arguments():
    for make in (
        lambda: tz.get_line_search("none"),
        lambda: tz.Lambda(3),
        lambda: tz.AddNoise(distribution="cauchy"),
        lambda: tz.FDM(formula="sideways"),
        lambda: tz.FDM(n_points=4),
        lambda: tz.RandomizedFDM(distribution="cauchy"),
        lambda: tz.ExactNewton(solver="qr"),
        lambda: tz.GridLS([]),
        lambda: tz.ArangeLS(1.0, 0.1),
        lambda: tz.ArangeLS(step=0.0),
        lambda: tz.MinimizeQuadraticLS(lr=0.0),
        lambda: tz.QuadraticLinesearch(points=4),
        lambda: tz.ScipyMinimizeScalarLS("bounded"),
        lambda: tz.ScipyMinimizeScalarLS("newton"),
        lambda: tz.Subspace([]),
        lambda: tz.ProjRandom(0),
        lambda: tz.ProjNormalize(3),
        lambda: tz.RandomSearch(1.0, 0.0),
        lambda: tz.LossIncreaseRule("halve"),
        lambda: tz.Wrap(3),
        lambda: tz.MakeClosure(3),
        lambda: tz.FDM(epsilon=1e-3),
    ):
        with pytest.raises(OptionsError):
            make()


def test_wrapped_optimizers_take_arguments_by_place():
    for make in (tz.Wrap, tz.OptimizerWrapper, tz.UninitializedClosureOptimizerWrapper):
        module = make(torch.optim.SGD, 0.25, 0.5)
        x = torch.nn.Parameter(torch.tensor([4.0]))
        optimizer = tz.ModularOptimizer([x], [module])
        for expected in (3.0, 1.5):  # velocities 4 and 0.5 * 4 + 4
            x.grad = torch.tensor([4.0])
            optimizer.step()
            assert x.item() == expected
        assert repr(module) == "Wrap(SGD, 0.25, 0.5)"


def test_set_grad_leaves_the_direction():
    x = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = tz.ModularOptimizer([x], [tz.ClipNorm(1.0), tz.SetGrad(), tz.LR(0.1)])
    (0.5 * x.square().sum()).backward()
    optimizer.step()
    torch.testing.assert_close(x.grad, torch.tensor([0.6, 0.8]))
