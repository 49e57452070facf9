"""Damping rules of Levenberg-Marquardt: functors, one a file."""

from manopt_torch.damping.base import Damping as Damping
from manopt_torch.damping.base import Gauge as Gauge
from manopt_torch.damping.fletcher import FletcherDamping as FletcherDamping
from manopt_torch.damping.levenberg import LevenbergDamping as LevenbergDamping
from manopt_torch.damping.marquardt import MarquardtDamping as MarquardtDamping
from manopt_torch.damping.nielsen import NielsenDamping as NielsenDamping
from manopt_torch.damping.residual import ResidualDamping as ResidualDamping
