"""The metrics of `SymmetricPositiveDefinite`, one a file, all with the methods of `SpdMetric`."""

from manopt_torch.manifolds.spd_metrics.affine_invariant import AffineInvariant as AffineInvariant
from manopt_torch.manifolds.spd_metrics.bures_wasserstein import BuresWasserstein as BuresWasserstein
from manopt_torch.manifolds.spd_metrics.interface import SpdMetric as SpdMetric
from manopt_torch.manifolds.spd_metrics.log_cholesky import LogCholesky as LogCholesky
from manopt_torch.manifolds.spd_metrics.log_euclidean import LogEuclidean as LogEuclidean
