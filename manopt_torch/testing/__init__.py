"""Checks for what users write themselves: gradients, Hessians, manifolds, solvers; and problems with known answers."""

from manopt_torch.testing.check_gradient import GradientReport as GradientReport
from manopt_torch.testing.check_gradient import check_gradient as check_gradient
from manopt_torch.testing.check_hessian import HessianReport as HessianReport
from manopt_torch.testing.check_hessian import check_hessian as check_hessian
from manopt_torch.testing.check_manifold import ManifoldReport as ManifoldReport
from manopt_torch.testing.check_manifold import check_manifold as check_manifold
from manopt_torch.testing.check_solver import SolverReport as SolverReport
from manopt_torch.testing.check_solver import check_solver as check_solver
from manopt_torch.testing.problem_case import Posed as Posed
from manopt_torch.testing.problem_case import ProblemCase as ProblemCase
from manopt_torch.testing.problems import PROBLEMS as PROBLEMS
from manopt_torch.testing.problems import problem_named as problem_named
