"""Solvers: one file each, with its options and its front function."""

from manopt_torch.solvers.statistics import mean as mean
from manopt_torch.solvers.statistics import median as median
from manopt_torch.solvers.statistics import variance as variance
from manopt_torch.solvers.steepest_descent import GradientDescentOptions as GradientDescentOptions
from manopt_torch.solvers.steepest_descent import steepest_descent as steepest_descent
