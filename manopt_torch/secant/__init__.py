"""Secant updates: how quasi-Newton methods learn the Hessian, or its inverse, from the steps they take."""

from manopt_torch.secant.base import SecantUpdate as SecantUpdate
from manopt_torch.secant.broyden import BFGS as BFGS
from manopt_torch.secant.broyden import DFP as DFP
from manopt_torch.secant.broyden import Broyden as Broyden
from manopt_torch.secant.broyden import InverseBFGS as InverseBFGS
from manopt_torch.secant.broyden import InverseBroyden as InverseBroyden
from manopt_torch.secant.broyden import InverseDFP as InverseDFP
from manopt_torch.secant.rank_one import SR1 as SR1
from manopt_torch.secant.rank_one import InverseSR1 as InverseSR1
