"""Where the text of debug actions goes, alone and in groups."""

import sys

import pytest
import torch

from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.action import Action
from manopt_torch.plans.debug import (
    DebugAction,
    DebugCost,
    DebugDivider,
    DebugEvery,
    DebugGradientNorm,
    DebugGroup,
    DebugIteration,
)
from manopt_torch.plans.stopping import StopAfterIteration
from manopt_torch.problems import GradientProblem
from manopt_torch.solvers.steepest_descent import GradientDescentOptions
from manopt_torch.stepsizes import ConstantStepsize

M = Euclidean(2)
F64 = torch.float64
START = torch.tensor([4.0, 2.0], dtype=F64)


def squared_distance(x):
    return ((x - START) ** 2).sum(-1)


P = GradientProblem(M, squared_distance, lambda x: 2 * (x - START))


def lone(x=START):
    return GradientDescentOptions(x, stepsize=ConstantStepsize(1.0), stop=StopAfterIteration(20))


def said(action, o, i, p=P):
    """Return what an action prints in one call."""
    out = []
    action.print = out.append
    action(p, o, i)
    assert all(isinstance(text, str) for text in out)
    return "".join(out)


def test_the_builtin_print_of_the_moment_is_the_default(capsys):
    DebugCost()(P, lone(), 1)
    DebugDivider("!")(P, lone(), 1)
    assert capsys.readouterr().out == "F(x): 0.0!"


def test_a_group_joins_what_goes_to_the_same_place(capsys):
    a, b = [], []
    DebugGroup(
        [
            DebugIteration(print=a.append),
            DebugDivider(print=a.append),
            DebugCost(print=b.append),
            DebugDivider("\n"),
        ]
    )(P, lone(), 3)
    assert (a, b) == (["# 3 | "], ["F(x): 0.0"])
    assert capsys.readouterr().out == "\n"


def test_a_group_with_a_print_of_its_own_takes_all(capsys):
    out = []
    inner = DebugGroup([DebugCost(), DebugDivider("\n")])
    DebugGroup([DebugIteration(), DebugDivider(), DebugEvery(inner, 2)], print=out.append)(P, lone(), 4)
    assert out == ["# 4 | F(x): 0.0\n"]
    assert capsys.readouterr().out == ""


def test_dividers_alone_print_no_line_where_a_value_could_stand():
    out = []
    group = DebugGroup([DebugGradientNorm(), DebugDivider("\n")], print=out.append)
    group(P, lone(), 0)
    assert out == []
    assert said(DebugGroup([DebugDivider("-"), DebugDivider("\n")]), lone(), 0) == "-\n"


def test_foreign_actions_are_called_in_their_turn(capsys):
    class Shout(DebugAction):
        def __call__(self, p, o, i):
            if i > 0:
                sys.stdout.write("HERE")

    group = DebugGroup([DebugIteration(), Shout(), lambda p, o, i: sys.stdout.write(f"<{i}>"), DebugDivider("\n")])
    group(P, lone(), 2)
    assert capsys.readouterr().out == "# 2HERE<2>\n"


def test_a_debug_action_is_abstract_and_needs_no_init():
    with pytest.raises(TypeError, match="abstract"):
        DebugAction()
    assert "__init__" not in vars(DebugAction)
    assert issubclass(DebugAction, Action)
