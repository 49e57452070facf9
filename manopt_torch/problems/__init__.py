"""Problems: what to minimise, on which manifold, with which derivatives."""

from manopt_torch.problems.access import get_cost as get_cost
from manopt_torch.problems.access import get_cost_and_gradient as get_cost_and_gradient
from manopt_torch.problems.access import get_gradient as get_gradient
from manopt_torch.problems.access import get_hessian as get_hessian
from manopt_torch.problems.access import get_preconditioner as get_preconditioner
from manopt_torch.problems.access import get_proximal_map as get_proximal_map
from manopt_torch.problems.access import get_subgradient as get_subgradient
from manopt_torch.problems.base import Problem as Problem
from manopt_torch.problems.composite import CompositeProblem as CompositeProblem
from manopt_torch.problems.constrained import ConstrainedProblem as ConstrainedProblem
from manopt_torch.problems.cost import CostProblem as CostProblem
from manopt_torch.problems.counted import CountedProblem as CountedProblem
from manopt_torch.problems.difference_of_convex import DifferenceOfConvexProblem as DifferenceOfConvexProblem
from manopt_torch.problems.eval_order import EvalOrder as EvalOrder
from manopt_torch.problems.eval_order import FixedRandomEvalOrder as FixedRandomEvalOrder
from manopt_torch.problems.eval_order import LinearEvalOrder as LinearEvalOrder
from manopt_torch.problems.eval_order import RandomEvalOrder as RandomEvalOrder
from manopt_torch.problems.gradient import GradientProblem as GradientProblem
from manopt_torch.problems.hessian import HessianProblem as HessianProblem
from manopt_torch.problems.least_squares import LeastSquaresProblem as LeastSquaresProblem
from manopt_torch.problems.least_squares import get_jacobian as get_jacobian
from manopt_torch.problems.least_squares import get_residuals as get_residuals
from manopt_torch.problems.primal_dual import PrimalDualProblem as PrimalDualProblem
from manopt_torch.problems.proximal import ProximalProblem as ProximalProblem
from manopt_torch.problems.stochastic import StochasticProblem as StochasticProblem
from manopt_torch.problems.subgradient import SubGradientProblem as SubGradientProblem
