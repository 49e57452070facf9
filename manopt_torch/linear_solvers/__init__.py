"""Linear solves of least-squares steps, as functors."""

from manopt_torch.linear_solvers.base import LinearSolver as LinearSolver
from manopt_torch.linear_solvers.base import Solved as Solved
from manopt_torch.linear_solvers.bounded import BoundedSolver as BoundedSolver
from manopt_torch.linear_solvers.cholesky import CholeskySolver as CholeskySolver
from manopt_torch.linear_solvers.conjugate_gradient import ConjugateGradientSolver as ConjugateGradientSolver
from manopt_torch.linear_solvers.least_norm import LeastNormSolver as LeastNormSolver
from manopt_torch.linear_solvers.qr import QRSolver as QRSolver
from manopt_torch.linear_solvers.row_space import RowSpaceSolver as RowSpaceSolver
from manopt_torch.linear_solvers.schur import SchurSolver as SchurSolver
