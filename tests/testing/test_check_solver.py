"""Every solver passes `check_solver`; solvers with a planted fault break the law that the fault is about."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    GradientDescentOptions,
    ManoptError,
    NotOnManifoldError,
    OptionsError,
    initialize_solver,
    step_solver,
)
from manopt_torch.manifolds.points import leaves
from manopt_torch.plans.begin import begin, first_evaluation
from manopt_torch.plans.commit import commit
from manopt_torch.plans.options import Options, state
from manopt_torch.testing import check_solver, problem_named
from manopt_torch.testing.solver_laws import LAWS
from tests.contracts.solver_table import every_plain_pair
from tests.together import together


@together("batch")
@every_plain_pair
@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_our_solvers_pass(solver: Any, case: Any, batch: Any) -> None:
    problem, x, *_ = solver.pose(case, *batch)
    report = check_solver(lambda x: solver.options(case, x), problem, x, steps=4)
    assert report, str(report)
    name = type(solver.options(case, x)).__name__
    assert report.solver == name and len(report.laws) == len(LAWS)
    assert str(report).startswith(f"check_solver, {name}: passed\n")


@dataclass(eq=False)
class PlantedOptions(Options):
    """Descent with a constant step and one fault, named by `fault`."""

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient")

    fault: str = "none"
    kept: Any = None  # a list in which a faulty solver remembers things

    velocity: Any = state(per_problem=False)


@initialize_solver.register(PlantedOptions)
def _start(p: Any, o: PlantedOptions) -> None:
    begin(p, o)
    first_evaluation(p, o)
    o.velocity = None


@step_solver.register(PlantedOptions)
def _step(p: Any, o: PlantedOptions, i: int) -> None:
    length = 0.2
    if o.fault == "step from a list outside":
        o.kept.append(i)
        length = 0.2 / len(o.kept)
    if o.fault == "step of the batch mean":
        length = 0.2 / (3.0 + o.cost.mean().item())
    if o.fault == "step that recording changes":
        length = 0.2 if o.record_places is None else 0.1
    if o.fault == "momentum that is not saved":
        o.kept[:] = [0.5 * o.kept[0] + o.gradient if o.kept else o.gradient]
    direction = o.kept[0] if o.fault == "momentum that is not saved" else o.gradient
    x = p.M.retract(o.x, direction, -length)
    if o.fault == "leaves the manifold":
        x = o.lane.axpy(o.x, -length, direction)
    if o.fault == "writes into the start":
        leaves(o.x0)[0].mul_(1.0 + 1e-3)
    cost, context = p.trial(x)
    gradient = p.gradient_from(x, context)
    if o.fault == "stale gradient":
        gradient, o.velocity = (gradient if o.velocity is None else o.velocity), gradient
    if o.fault == "stale cost":
        cost = o.cost
    if o.fault == "moves finished problems":
        o.x, o.cost, o.gradient = x, cost, gradient
        return
    if o.fault == "two steps at once":
        commit(o, x=x, cost=cost, gradient=gradient)
        if i == 1:
            o.active = torch.zeros_like(o.active) if isinstance(o.active, torch.Tensor) else False
        return
    if o.fault == "raises" and i == 3:
        raise RuntimeError("planted")
    commit(o, x=x, cost=cost, gradient=gradient)


FAULTS = {
    "stale gradient": "point, cost and gradient agree",
    "stale cost": "point, cost and gradient agree",
    "leaves the manifold": "point, cost and gradient agree",
    "step of the batch mean": "batch equals lone runs",
    "moves finished problems": "finished problems do not move",
    "step that recording changes": "debug and record change nothing",
    "momentum that is not saved": "resume equals going on",
    "step from a list outside": "fresh options give the same",
    "two steps at once": "StopAfterIteration(n) takes n steps",
    "writes into the start": "start and data stay untouched",
}


def planted(fault: str) -> Any:
    outside: list[Any] = []
    return lambda x: PlantedOptions(x, fault=fault, kept=outside if "outside" in fault else [])


@together("batch")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_planted_faults_break_their_law(fault: str, batch: Any) -> None:
    problem, x, *_ = problem_named("linear on a sphere").pose(*batch)
    report = check_solver(planted(fault), problem, x)
    assert not report.passed
    assert FAULTS[fault] in [outcome.law for outcome in report.failures], str(report)
    assert f"BROKEN  {FAULTS[fault]}" in str(report)


def test_without_a_fault_it_passes() -> None:
    problem, x, *_ = problem_named("quadratic").pose()
    assert check_solver(planted("none"), problem, x)


def test_an_error_breaks_the_law_and_is_named() -> None:
    problem, x, *_ = problem_named("quadratic").pose()
    report = check_solver(planted("raises"), problem, x)
    assert len(report.failures) == len(LAWS)
    assert "RuntimeError: planted" in str(report)
    with pytest.raises(ManoptError, match="planted"):
        check_solver(planted("raises"), problem, x, raise_on_failure=True)


def test_laws_may_be_chosen() -> None:
    problem, x, *_ = problem_named("quadratic").pose()
    report = check_solver(planted("stale gradient"), problem, x, laws=("start and data stay untouched",))
    assert report and len(report.laws) == 1


def test_a_looser_tolerance_lets_a_batch_differ() -> None:
    problem, x, *_ = problem_named("quadratic").pose(2)
    laws = ("batch equals lone runs",)
    assert not check_solver(planted("step of the batch mean"), problem, x, laws=laws)
    assert check_solver(planted("step of the batch mean"), problem, x, laws=laws, tolerance=10.0)


def test_the_users_own_stop_is_replaced_and_decorated_options_are_taken() -> None:
    problem, x, *_ = problem_named("product").pose()
    assert check_solver(lambda x: GradientDescentOptions(x, stepsize=ConstantStepsize(0.1)), problem, x)


def test_bad_arguments() -> None:
    problem, x, *_ = problem_named("linear on a sphere").pose()
    with pytest.raises(OptionsError, match="steps"):
        check_solver(GradientDescentOptions, problem, x, steps=2)
    with pytest.raises(OptionsError, match=r"unknown laws.*'fresh options give the same'"):
        check_solver(GradientDescentOptions, problem, x, laws=("murphy",))
    with pytest.raises(NotOnManifoldError):
        check_solver(GradientDescentOptions, problem, 2 * x)
