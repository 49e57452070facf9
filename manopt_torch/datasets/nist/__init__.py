"""The NIST Statistical Reference Datasets for nonlinear regression: 27 problems with certified solutions."""

from manopt_torch.datasets.nist.problem import NistProblem as NistProblem
from manopt_torch.datasets.nist.problem import load as load
from manopt_torch.datasets.nist.problem import names as names
