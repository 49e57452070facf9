"""Reasons and reports."""

import math

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    CountedProblem,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    RecordOptions,
    Report,
    StopAfterIteration,
    StopWhenGradientNormLess,
    get_reason,
    initialize_solver,
    report,
    solve,
    step_solver,
    stop_solver,
)

D = torch.float64
P = GradientProblem(Euclidean(1), lambda x: 0.5 * (x * x).sum(-1))
STOP = StopAfterIteration(3) | StopWhenGradientNormLess(1.0)


def options(x, stop=STOP):
    """Every step halves x."""
    return GradientDescentOptions(torch.as_tensor(x, dtype=D)[..., None], stepsize=ConstantStepsize(0.5), stop=stop)


def test_report_of_one_problem():
    o = solve(P, options(3.0))
    r = report(o)
    assert isinstance(r, Report)
    assert (r.solver, r.batch, r.converged) == ("GradientDescentOptions", (), 1)
    assert r.reasons == {"The algorithm reached a gradient norm below 1 after 2 iterations.": 1}
    assert r.iterations == (2.0, 2.0, 2.0)
    assert r.cost == (0.28125,) * 3
    assert r.gradient_norm == (0.75,) * 3
    assert r.evaluations["cost"] == r.evaluations["gradient"] == 3
    assert r.evaluations["hessian"] == 0
    assert 0 < r.seconds == o.seconds
    assert set(r.parameters) == {"stop", "retraction_method", "check_every", "compact", "direction", "stepsize"}
    assert r.parameters["stepsize"] == "ConstantStepsize(0.5)"


def test_printed_report_of_one_problem():
    text = str(report(solve(P, options(3.0))))
    lines = [line.split(maxsplit=1) for line in text.splitlines()]
    assert ["solver", "GradientDescentOptions"] in lines
    assert ["stepsize", "ConstantStepsize(0.5)"] in lines
    assert ["stopped", "The algorithm reached a gradient norm below 1 after 2 iterations."] in lines
    assert ["iterations", "2"] in lines
    assert ["cost", "0.28125"] in lines
    assert "gradient norm" in text and "0.75" in text
    assert ["evaluations", "3 cost, 3 gradient"] in lines
    assert lines[-1][0] == "time" and lines[-1][1].endswith(" s")
    assert len({len(line) - len(line[20:].lstrip()) for line in text.splitlines()}) == 1  # one column of values
    assert "problems" not in text


def test_report_of_a_batch():
    # |x| halves: below 1 at the start, after 1, after 2, and two that run out of steps
    o = solve(P, options([[0.5, 1.5, 3.0], [80.0, 160.0, 3.5]]))
    r = report(o)
    assert (r.batch, r.converged) == ((2, 3), 4)
    assert r.reasons == {
        "The algorithm reached a gradient norm below 1 after 2 iterations. (the last of them)": 4,
        "The algorithm reached its maximal number of iterations (3).": 2,
    }
    assert r.iterations == (0.0, 2.0, 3.0)
    assert r.gradient_norm == (0.5, 0.75, 20.0)
    assert r.cost == (0.125, 0.28125, 200.0)
    text = str(r)
    assert "6 (2, 3), 4 converged" in text
    assert "stopped, 4 x" in text and "stopped, 2 x" in text
    assert "min 0, median 2, max 3" in text
    assert "min 0.125, median 0.28125, max 200" in text


def test_report_of_problems_with_nan():
    p = GradientProblem(Euclidean(1), lambda x: x.log().sum(-1))
    o = solve(p, options([-1.0, 1.0, 100.0], StopAfterIteration(2)))
    r = report(o)  # 1 - 0.5 = 0.5, 0.5 - 1 < 0: a wall
    assert r.converged == 0
    assert sorted(r.reasons.values()) == [1, 2]
    assert get_reason(o) == [
        "The cost or its gradient was non-finite at iteration 0: the problem could not start.",
        "The cost or its gradient was non-finite at iteration 2; the last finite point was kept.",
        "The algorithm reached its maximal number of iterations (2).",
    ]
    assert r.cost[0] == math.log(0.5)
    assert math.isclose(r.cost[2], math.log(100 - 0.005 - 0.5 / 99.995))
    assert math.isnan(report(options(1.0)).cost[1])


def test_before_during_and_after_a_run():
    for x in (8.0, [8.0, 0.5]):
        o = options(x)
        assert get_reason(o) == ""
        assert "(still running)" in str(report(o)) and report(o).iterations == (0.0, 0.0, 0.0)
        initialize_solver(P, o)
        assert not stop_solver(P, o, 0)
        step_solver(P, o, 1)
        assert not stop_solver(P, o, 1)
        if x == 8.0:
            assert get_reason(o) == ""
            assert report(o).iterations == (1.0, 1.0, 1.0)
        else:
            assert get_reason(o) == ["", "The algorithm reached a gradient norm below 1 after 0 iterations."]
            assert report(o).reasons[""] == 1
            assert report(o).iterations == (0.0, 0.0, 1.0)


def test_stagnated_problems_say_so():
    p = GradientProblem(Euclidean(1), lambda x: 0.5 * (x * x).sum(-1), lambda x: -x)
    for x in (1.0, [1.0, 2.0]):
        o = solve(p, GradientDescentOptions(torch.as_tensor(x, dtype=D)[..., None]))
        text = "The algorithm stagnated: no step of sensible length made progress at iteration 1."
        assert get_reason(o) == (text if x == 1.0 else [text, text])
        assert report(o).converged == 0


def test_decorated_options_and_counted_problems():
    inner = options(3.0)
    o = solve(CountedProblem(P), RecordOptions(inner, [":Cost"]))
    assert report(o) == report(inner)
    assert get_reason(o) == get_reason(inner)


def test_an_empty_batch():
    o = solve(P, options([]))
    assert get_reason(o) == []
    assert report(o).batch == (0,)
    assert "0 (0,), 0 converged" in str(report(o))


@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_evaluations_are_those_of_the_last_run(dtype):
    o = GradientDescentOptions(torch.ones(1, dtype=dtype), stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(4))
    for _ in range(2):
        solve(P, o)
        assert {kind: n for kind, n in report(o).evaluations.items() if n} == {"cost": 5, "gradient": 5}


def test_reasons_of_criteria_that_have_been_taken_away():
    o = solve(P, options([3.0, 100.0]))
    o.stop = StopAfterIteration(9)
    assert get_reason(o) == [
        "A criterion that the options no longer have was met at iteration 2.",
        "The algorithm reached its maximal number of iterations (9).",
    ]
    assert report(o).converged == 0 and "no longer have" in str(report(o))


def test_a_dry_run_on_the_meta_device_has_a_report_without_values():
    o = solve(P, GradientDescentOptions(torch.ones(2, 1, device="meta"), stepsize=ConstantStepsize(0.5), stop=STOP))
    r = report(o)
    assert get_reason(o) == ["", ""] and sum(r.reasons.values()) == 2
    assert math.isnan(r.cost[1]) and r.evaluations["cost"] > 1
    assert "min nan, median nan, max nan" in str(r)
