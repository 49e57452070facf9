"""Approximations of Hessians from gradients, for solvers that take `hessian=`."""

from manopt_torch.hessians.base import HessianApproximation as HessianApproximation
from manopt_torch.hessians.bfgs import ApproxHessianBFGS as ApproxHessianBFGS
from manopt_torch.hessians.finite_difference import ApproxHessianFiniteDifference as ApproxHessianFiniteDifference
from manopt_torch.hessians.symmetric_rank_one import ApproxHessianSymmetricRankOne as ApproxHessianSymmetricRankOne
