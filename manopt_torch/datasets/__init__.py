"""Real inputs to try things on: a public table shipped with the package, and problems made from it."""

from manopt_torch.datasets.table import Table as Table
from manopt_torch.datasets.table import covariance_blocks as covariance_blocks
from manopt_torch.datasets.table import load_iris as load_iris
