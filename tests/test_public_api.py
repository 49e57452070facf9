"""The public names, with the signatures that users rely on."""

import inspect
import subprocess
import sys

import pytest
import torch

import manopt_torch
from manopt_torch import Circle, Euclidean, Power, Product, Sphere, SymmetricPositiveDefinite
from tests.together import together

# Parameters listed here exist in this order, of this kind and with these defaults. Others may follow if they can be
# left out; a parameter listed without default may have one.
SIGNATURES = """
CostProblem(M, cost, *, data=(), vectorized=True)
GradientProblem(M, cost, gradient=None, *, euclidean_gradient=None, data=(), vectorized=True)
HessianProblem(M, cost, gradient=None, hessian=None, *, preconditioner=None, euclidean_gradient=None, \
euclidean_hessian=None, data=(), vectorized=True)
SubGradientProblem(M, cost, subgradient=None, *, data=(), vectorized=True)
ProximalProblem(M, cost, proximal_maps, *, number_of_proxes=None, data=(), vectorized=True)
StochasticProblem(M, cost, gradient=None, *, euclidean_gradient=None, terms=None, batch_size=1, order=None, data=(), \
vectorized=True)
CountedProblem(problem)
SharedValue(function)
nelder_mead(M, cost, x, *, population=None)
particle_swarm(M, cost, x, *, swarm=None, generator=None)
subgradient_method(M, cost, x, *, subgradient=None)
convex_bundle_method(M, cost, x, *, subgradient=None)
proximal_bundle_method(M, cost, x, *, subgradient=None)
cyclic_proximal_point(M, cost, proximal_maps, x)
douglas_rachford(M, cost, proximal_maps, x)
proximal_point(M, cost, x, *, prox=None)
PrimalDualProblem(M, N, cost, prox_f, prox_g_dual, *, forward_operator=None, linearized_forward_operator=None, \
adjoint_linearized_operator=None, diff_prox_f=None, diff_prox_g_dual=None, data=(), vectorized=True)
chambolle_pock(M, N, cost, x, xi, m, n, prox_f, prox_g_dual, adjoint_linearized_operator=None)
StopWhenPrimalDualResidualLess(eps)
DifferenceOfConvexProblem(M, cost, g=None, subgradient_h=None, *, h=None, gradient=None, gradient_g=None, data=(), \
vectorized=True)
difference_of_convex_algorithm(M, cost, g, subgradient_h, x, *, h=None, sub_options=None, sub_solver=None)
difference_of_convex_proximal_point(M, cost, g, subgradient_h, x, *, h=None, sub_options=None, sub_solver=None)
cite(p, o)
ManifoldParameter(data, M)
TangentBundle(M)
get_cost(p, x)
get_gradient(p, x)
get_cost_and_gradient(p, x)
get_hessian(p, x, u)
get_preconditioner(p, x, u)
get_subgradient(p, x)
get_proximal_map(p, lam, x, i)
solve(problem, options, *, debug=None, record=None)
decorate_options(o, debug=None, record=None)
get_options(o)
get_reason(o)
report(o)
reset(o)
state_dict(o)
load_state_dict(o, d)
OptionsDecorator(options)
DebugOptions(options, debug)
DebugActionFactory(s)
DebugFactory(a)
RecordOptions(options, record)
RecordActionFactory(o, s)
RecordFactory(o, a)
get_record(o, symbol=":Step")
has_record(o)
record_or_reset(r, v, i)
record_to_dict(o, symbol=":Step")
record_to_frame(o)
plot_record(o)
StoreOptionsAction(keys=(), once=True)
get_storage(a, key)
has_storage(a, key)
update_storage(a, o_or_dict)
StopAfterIteration(n)
StopWhenGradientNormLess(eps)
StopWhenChangeLess(eps)
StopWhenCostLess(v)
StopWhenStepsizeLess(eps)
StopWhenAny(*criteria)
StopWhenAll(*criteria)
StopWhenRepeated(criterion, n)
ConstantStepsize(length)
DecreasingStepsize(length=1, factor=1, subtrahend=0, exponent=1)
ArmijoLinesearch(initial_stepsize=1.0, contraction_factor=0.95, sufficient_decrease=0.1)
get_stepsize(p, o, i)
get_initial_stepsize(p, o)
get_last_stepsize(p, o, i)
GradientDescentOptions(x)
steepest_descent(M, cost, x, *, gradient=None, debug=None, record=None, return_options=False)
gauss_newton(M, residuals, x, *, jacobian=None, weights=None, loss=None, data=(), vectorized=True, debug=None, \
record=None, return_options=False)
dogleg(M, residuals, x, *, jacobian=None, weights=None, loss=None, data=(), vectorized=True, debug=None, record=None, \
return_options=False)
GaussNewtonOptions(x)
DoglegOptions(x)
covariance(p, o)
standard_errors(p, o)
HuberLoss(scale=1.0)
SoftL1Loss(scale=1.0)
CauchyLoss(scale=1.0)
ArctanLoss(scale=1.0)
TukeyLoss(scale=1.0)
TolerantLoss(a, b)
ScaledLoss(loss, scale)
ComposedLoss(outer, inner)
StochasticGradientDescentOptions(x)
stochastic_gradient_descent(M, cost, x, *, gradient=None, debug=None, record=None, return_options=False)
AlternatingGradientDescentOptions(x)
alternating_gradient_descent(M, cost, x, *, gradient=None, debug=None, record=None, return_options=False)
Chain(rules)
HeavyBallRule(momentum=0.9, dampening=0.0)
NesterovRule(momentum=0.9, dampening=0.0, variant="torch")
AverageGradientRule(n=10)
ClipNormRule(max_norm, scope="global")
AdamRule(beta1=0.9, beta2=0.999, eps=1e-8)
from_halflife(halflife)
mean(M, x, *, weights=None, start=None)
median(M, x, *, weights=None, start=None)
variance(M, x)
Euclidean(*shape)
Sphere(n)
Circle()
SymmetricPositiveDefinite(n, metric="affine_invariant")
Product(*manifolds)
Power(M, *shape)
check_gradient(p)
check_hessian(p)
check_manifold(M)
check_solver(options_factory, problem, x)
"""

METHODS = """
inner(x, u, v)
norm(x, u)
dist(x, y)
squared_dist(x, y)
project_point(z)
project_tangent(x, z)
egrad2rgrad(x, g)
ehess2rhess(x, g, h, u)
exp(x, u, t=None)
log(x, y)
log_defined(x, y)
retract(x, u, t=None, method=None)
inverse_retract(x, y, method=None)
transport(x, y, u)
parallel_transport(x, y, u)
random_point(*batch, generator=None, dtype=None, device=None)
random_tangent(x, generator=None)
zero_tangent(x)
basis(x)
to_coordinates(x, u)
from_coordinates(x, c)
geodesic(x, y, t)
mid_point(x, y)
injectivity_radius(x=None)
off_manifold(x)
off_tangent(x, u)
check_point(x)
check_tangent(x, u)
"""

ATTRIBUTES = {
    "point_shape": tuple,
    "dim": int,
    "typical_dist": float,
    "has_exp": bool,
    "has_log": bool,
    "retraction_order": int,
    "transport_is_isometric": bool,
}

MANIFOLDS = [
    Euclidean(3),
    Sphere(3),
    Circle(),
    SymmetricPositiveDefinite(3),
    Product(Sphere(3), Euclidean(2)),
    Power(Sphere(3), 4),
]

# Names without a listed signature: base classes, constants, functors whose parameters all have defaults.
OTHERS = """
Manifold EvalOrder LinearEvalOrder RandomEvalOrder FixedRandomEvalOrder Action DebugAction RecordAction S STOP Stepsize
Linesearch StoppingCriterion StopAfter StopWhenNonFinite DebugChange DebugCost DebugDivider DebugEntry DebugEntryChange
DebugEvery DebugGroup DebugIterate DebugIteration DebugStoppingCriterion DebugGradient DebugGradientNorm DebugStepsize
DebugProximalParameter DebugTime DebugProgress RecordChange RecordCost RecordEntry RecordEntryChange RecordEvery
RecordGroup RecordIterate RecordIteration RecordGradient RecordGradientNorm RecordStepsize RecordProximalParameter
RecordTime
""".split()

VERBS = {
    "initialize_solver": "initialize_solver(p, o)",
    "step_solver": "step_solver(p, o, i)",
    "stop_solver": "stop_solver(p, o, i)",
    "get_solver_result": "get_solver_result(o)",
}

ERRORS = {
    "MissingDerivativeError": TypeError,
    "UnknownSymbolError": LookupError,
    "ShapeError": ValueError,
    "NotOnManifoldError": ValueError,
    "NonFiniteError": ArithmeticError,
    "OptionsError": ValueError,
    "UnknownKeywordError": TypeError,
}

# What a user of the strings knows: the keywords that each action takes.
KEYWORDS = {
    "DebugChange": {"prefix", "storage"},
    "DebugCost": {"prefix", "long"},
    "DebugEntry": {"field", "prefix"},
    "DebugEntryChange": {"field", "distance", "storage", "prefix", "start"},
    "DebugEvery": {"every", "always_update"},
    "DebugGradient": {"prefix", "long"},
    "DebugGradientNorm": {"prefix", "long"},
    "DebugIterate": {"prefix", "long"},
    "DebugStepsize": {"prefix", "long"},
    "DebugProximalParameter": {"prefix", "long"},
    "RecordChange": {"storage"},
    "RecordEntryChange": {"field", "distance", "storage", "start"},
    "RecordEvery": {"every", "always_update"},
}


def listed(text):
    """Read lines such as `f(x, *, y=1)` into pairs of a name and a signature."""
    pairs = []
    for line in text.strip().splitlines():
        scope = {}
        exec(f"def {line}: ...", scope)
        name = line.split("(")[0]
        pairs.append((name, inspect.signature(scope[name])))
    return pairs


def assert_offers(actual, wanted):
    """Assert that what is called as `wanted` says may be called so."""
    got = list(actual.parameters.values())
    positional = [p for p in wanted.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    assert [(p.name, p.kind) for p in got[: len(positional)]] == [(p.name, p.kind) for p in positional]
    for p in wanted.parameters.values():
        assert p.name in actual.parameters, f"no parameter {p.name} in {actual}"
        twin = actual.parameters[p.name]
        assert twin.kind == p.kind
        assert p.default is p.empty or twin.default == p.default
    for p in got:
        can_be_left_out = p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        assert p.name in wanted.parameters or can_be_left_out, f"{p.name} is a must, but not listed"


@together()
@pytest.mark.parametrize(("name", "wanted"), [pytest.param(*pair, id=pair[0]) for pair in listed(SIGNATURES)])
def test_signature(name, wanted):
    assert_offers(inspect.signature(getattr(manopt_torch, name)), wanted)


@together()
@pytest.mark.parametrize("M", MANIFOLDS, ids=lambda M: type(M).__name__)
def test_methods_of_manifold(M):
    for name, wanted in listed(METHODS):
        assert_offers(inspect.signature(getattr(M, name)), wanted)


@together()
@pytest.mark.parametrize("M", MANIFOLDS, ids=lambda M: type(M).__name__)
def test_attributes_of_manifold(M):
    for name, kind in ATTRIBUTES.items():
        assert isinstance(getattr(M, name), kind), name


def test_names_are_importable():
    assert [name for name in OTHERS if getattr(manopt_torch, name, None) is None] == []


@pytest.mark.parametrize(("name", "call"), VERBS.items())
def test_verb_says_how_it_is_called(name, call):
    verb = getattr(manopt_torch, name)
    assert callable(verb) and callable(verb.register) and callable(verb.resolve)
    assert call in verb.__doc__


@together()
@pytest.mark.parametrize(("name", "builtin"), ERRORS.items())
def test_error_is_also_a_builtin(name, builtin):
    error = getattr(manopt_torch, name)
    assert issubclass(error, manopt_torch.ManoptError) and issubclass(error, builtin)


@together()
@pytest.mark.parametrize("name", [name for name in OTHERS if name.startswith("Debug") and name != "DebugAction"])
def test_where_a_debug_action_prints_can_be_chosen(name):
    parameters = inspect.signature(getattr(manopt_torch, name)).parameters
    assert "print" in parameters and parameters["print"].default is not inspect.Parameter.empty


@together()
@pytest.mark.parametrize(("name", "keywords"), KEYWORDS.items())
def test_action_takes_keywords(name, keywords):
    parameters = inspect.signature(getattr(manopt_torch, name)).parameters
    assert keywords <= set(parameters)
    assert all(parameters[k].kind is not inspect.Parameter.POSITIONAL_ONLY for k in keywords)


def test_symbols_are_constants():
    S = manopt_torch.S
    names = "Cost Change Gradient GradientNorm Iterate Iteration Stepsize ProximalParameter Time Progress Stop".split()
    assert [getattr(S, name) for name in names] == [f":{name}" for name in names]


def test_places_are_constants():
    S = manopt_torch.S
    assert (S.Start, S.Step, S.All) == (":Start", ":Step", ":All")


def test_stop_index_is_below_every_other():
    stop = manopt_torch.STOP
    assert stop == -sys.maxsize - 1


def test_criteria_combine():
    a, b = manopt_torch.StopAfterIteration(3), manopt_torch.StopWhenCostLess(0.0)
    assert isinstance(a | b, manopt_torch.StopWhenAny)
    assert isinstance(a & b, manopt_torch.StopWhenAll)


def test_default_dtype_and_device_are_left_alone():
    assert torch.get_default_dtype() is torch.float32
    assert torch.get_default_device() == torch.device("cpu")


def test_import_opens_no_optional_package():
    # torch opens some of them itself, where they are installed: only what we add counts
    code = """
import sys, torch
before = set(sys.modules)
import manopt_torch
print(sorted({"matplotlib", "pandas", "tqdm", "scipy", "geoopt", "pymanopt"} & (set(sys.modules) - before)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
