"""Robust losses for least squares: what a squared residual costs."""

from manopt_torch.problems.losses.arctan import ArctanLoss as ArctanLoss
from manopt_torch.problems.losses.base import Rho as Rho
from manopt_torch.problems.losses.base import RobustLoss as RobustLoss
from manopt_torch.problems.losses.block import BlockLoss as BlockLoss
from manopt_torch.problems.losses.cauchy import CauchyLoss as CauchyLoss
from manopt_torch.problems.losses.composed import ComposedLoss as ComposedLoss
from manopt_torch.problems.losses.huber import HuberLoss as HuberLoss
from manopt_torch.problems.losses.scaled import ScaledLoss as ScaledLoss
from manopt_torch.problems.losses.soft_absolute import SoftL1Loss as SoftL1Loss
from manopt_torch.problems.losses.tolerant import TolerantLoss as TolerantLoss
from manopt_torch.problems.losses.tukey import TukeyLoss as TukeyLoss
