"""Bad input is refused before anything is printed, recorded or moved, in words that name what came and the cure."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    ConstantStepsize,
    CostProblem,
    DecreasingStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    ManoptError,
    MissingDerivativeError,
    NonFiniteError,
    NotOnManifoldError,
    OptionsError,
    Product,
    RecordAction,
    ShapeError,
    Sphere,
    StopAfter,
    StopAfterIteration,
    StopWhenAny,
    StopWhenChangeLess,
    StopWhenCostLess,
    StopWhenGradientNormLess,
    UnknownSymbolError,
    solve,
    steepest_descent,
)
from manopt_torch.testing import problem_named
from tests.contracts.solver_table import SOLVERS
from tests.together import together

X = torch.eye(3, dtype=torch.float64)[:2]
NAN = float("nan")


def linear(M: Any = None, **more: Any) -> GradientProblem:
    return GradientProblem(M or Sphere(3), more.pop("cost", lambda x, *data: x[..., 0]), **more)


# name: problem, start, error, its builtin, words of the message
STARTS: dict[str, tuple[Any, Any, type, type, str]] = {
    "off the manifold": (linear(), 2 * X, NotOnManifoldError, ValueError, r"off Sphere\(3\).*project_point"),
    "one of them off": (linear(), X * torch.tensor([[1.0], [2.0]]), NotOnManifoldError, ValueError, r"\[\(1,\)\]"),
    "nan": (linear(), torch.tensor([NAN, 0, 0]), NonFiniteError, ArithmeticError, "start x holds NaN"),
    "nan at one": (linear(), X * torch.tensor([[1.0], [NAN]]), NonFiniteError, ArithmeticError, r"\[\(1,\)\]"),
    "infinite": (linear(Euclidean(3)), X / 0, NonFiniteError, ArithmeticError, r"\[\(0,\), \(1,\)\]"),
    "wrong shape": (linear(), X[:, :2], ShapeError, ValueError, r"\(\*batch, 3\), got \(2, 2\)"),
    "wrong structure": (linear(Product(Sphere(3), Sphere(3))), X, ShapeError, ValueError, "2 tensors, got 1"),
    "parts of other batches": (
        linear(Product(Sphere(3), Sphere(3)), cost=lambda x: x[0][..., 0]),
        (X, X[0]),
        ShapeError,
        ValueError,
        "same batch axes",
    ),
    "parts of other dtypes": (
        linear(Product(Sphere(3), Sphere(3)), cost=lambda x: x[0][..., 0]),
        (X, X.float()),
        ShapeError,
        ValueError,
        "differ in dtype",
    ),
    "integers": (linear(Euclidean(3)), torch.ones(2, 3, dtype=torch.int64), OptionsError, ValueError, r"x.double\(\)"),
    "a list": (linear(), [[1.0, 0.0, 0.0]], OptionsError, ValueError, "tensor"),
    "cost per batch": (linear(cost=lambda x: x.sum()), X, ShapeError, ValueError, r"shape \(2,\), got \(\).*sum\(-1\)"),
    "cost per entry": (linear(cost=lambda x: x * x), X, ShapeError, ValueError, r"shape \(2,\), got \(2, 3\)"),
    "cost with an axis": (linear(cost=lambda x: x[..., :1]), X, ShapeError, ValueError, r"got \(2, 1\)"),
    "cost a float": (linear(cost=lambda x: 1.0), X[0], ShapeError, ValueError, "tensor of shape .*got float"),
    "data of another batch": (linear(data=(torch.ones(3),)), X, ShapeError, ValueError, r"data\[0\].*\(3,\).*\(2,\)"),
    "no gradient": (
        CostProblem(Sphere(3), lambda x: x[..., 0]),
        X,
        MissingDerivativeError,
        TypeError,
        "GradientProblem",
    ),
    "detached cost": (
        linear(cost=lambda x: x.detach()[..., 0]),
        X,
        MissingDerivativeError,
        TypeError,
        r"detach.*gradient=",
    ),
    "gradient of another shape": (
        GradientProblem(Sphere(3), lambda x: x[..., 0], lambda x: x[..., 0]),
        X,
        ShapeError,
        ValueError,
        "gradient",
    ),
    "no finite cost": (linear(cost=lambda x: x[..., 0] / 0), X, NonFiniteError, ArithmeticError, "every problem"),
    "no problem": (lambda x: x, X, OptionsError, ValueError, "GradientProblem"),
}


class Seen(RecordAction):
    """Note the indices with which an action is called."""

    def __init__(self) -> None:
        self.recorded_values: list[int] = []

    def __call__(self, p: Any, o: Any, i: int) -> None:
        self.recorded_values.append(i)


@together("name")
@pytest.mark.parametrize("solver", [s for s in SOLVERS if "gradient" in s.needs], ids=str)
@pytest.mark.parametrize("name", STARTS)
def test_a_bad_problem_or_start(solver: Any, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    problem, x, error, builtin, words = STARTS[name]
    options = solver.options(problem_named("quadratic"), x, stop=StopAfterIteration(3))
    seen = Seen()
    with pytest.raises(error, match=words) as raised:
        solve(problem, options, debug=[":Cost", ":Stop", 1], record=seen)
    assert isinstance(raised.value, builtin) and isinstance(raised.value, ManoptError)
    assert options.x is x and options.iteration == 0
    assert capsys.readouterr().out == "" and not seen.recorded_values


OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "no criterion": ({"stop": 100}, r"StopAfterIteration\(100\), got 100"),
    "a criterion's class": ({"stop": StopAfterIteration}, "stop must be a stopping criterion"),
    "no stepsize": ({"stepsize": 0.1}, "stepsize must be.*got 0.1"),
    "a stepsize's class": ({"stepsize": ArmijoLinesearch}, "ArmijoLinesearch"),
    "check_every": ({"check_every": 0}, "check_every must be an int >= 1, got 0"),
    "check_every, a float": ({"check_every": 2.0}, "check_every"),
    "unknown keyword": ({"stepsise": 1}, "unknown keyword stepsise; it takes .*stepsize"),
    "unknown retraction": ({"retraction_method": "cayley"}, "cayley.*'projection', 'exp'"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    keywords, words = OPTIONS[name]
    with pytest.raises(OptionsError, match=words):
        steepest_descent(Sphere(3), lambda x: x[..., 0], X, debug=[":Cost"], **keywords)
    with pytest.raises(OptionsError, match=words):
        solve(linear(), GradientDescentOptions(X, **keywords), debug=[":Cost"])
    assert capsys.readouterr().out == ""


def test_step_sizes_for_another_batch(capsys: pytest.CaptureFixture[str]) -> None:
    o = GradientDescentOptions(X, stepsize=ConstantStepsize(torch.ones(3)))
    with pytest.raises(ShapeError, match=r"length has shape \(3,\).*\(2,\)"):
        solve(linear(), o, debug=[":Cost"])
    assert capsys.readouterr().out == "" and o.x is X


@together()
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ConstantStepsize(-1.0), "length must be a positive number, got -1.0"),
        (lambda: ConstantStepsize("long"), "length"),
        (lambda: DecreasingStepsize(0.0), "length must be a positive number"),
        (lambda: DecreasingStepsize(1.0, exponent="big"), "exponent"),
        (lambda: ArmijoLinesearch(contraction_factor=1.5), r"contraction_factor must lie in \(0.0, 1.0\), got 1.5"),
        (lambda: ArmijoLinesearch(sufficient_decrease=0.0), "sufficient_decrease"),
        (lambda: ArmijoLinesearch(initial_stepsize=NAN), "initial_stepsize"),
        (lambda: ArmijoLinesearch(max_decreases=0), "max_decreases must be an int >= 1"),
        (lambda: ArmijoLinesearch(contraction=0.5), "unknown keyword contraction; it takes .*contraction_factor"),
        (lambda: StopAfterIteration(-1), "n must be an int >= 0, got -1"),
        (lambda: StopAfterIteration(2.5), "n must be an int"),
        (lambda: StopAfterIteration(True), "n must be an int"),
        (lambda: StopAfter(-1.0), "duration must be positive"),
        (lambda: StopWhenGradientNormLess(-1e-3), "eps"),
        (lambda: StopWhenChangeLess(NAN), "eps"),
        (lambda: StopWhenCostLess(NAN), "v must be a number"),
        (lambda: StopWhenAny(), "at least one"),
        (lambda: StopWhenAny(StopAfterIteration(3), 5), "takes stopping criteria, got 5"),
        (lambda: GradientProblem("Sphere", lambda x: x), "M must be a Manifold, got str"),
        (lambda: GradientProblem(Sphere(3), 3.0), "cost must be callable, got float"),
        (lambda: GradientProblem(Sphere(3), len, data=torch.ones(2)), r"data must be a tuple of tensors"),
        (lambda: GradientProblem(Sphere(3), len, len, euclidean_gradient=len), "not both"),
    ],
)
def test_parameters_out_of_range(make: Any, words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        make()


@pytest.mark.parametrize("which", ["debug", "record"])
@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([":Costs"], "did you mean :Cost"),
        ([":Iteration", ":momentum"], "momentum.*fields are x"),
        ({":Between": [":Cost"]}, "the places are :Start, :Step, :Stop, :All"),
    ],
)
def test_unknown_symbols(which: str, entries: Any, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    o = GradientDescentOptions(X)
    with pytest.raises(UnknownSymbolError, match=words):
        solve(linear(), o, **{which: entries})
    assert isinstance(UnknownSymbolError(""), LookupError)
    assert capsys.readouterr().out == "" and o.x is X and o.cost is None


def test_solve_wants_a_problem_and_options() -> None:
    with pytest.raises(OptionsError, match="expected Options"):
        solve(linear(), X)
    with pytest.raises(OptionsError, match="expected a Problem"):
        solve(Sphere(3), GradientDescentOptions(X))
