"""Batched, gradient-safe functions of scalars and matrices."""

from manopt_torch.linalg.cholesky import cholesky_or_nan as cholesky_or_nan
from manopt_torch.linalg.cholesky import congruence as congruence
from manopt_torch.linalg.cholesky import inverse_triangular as inverse_triangular
from manopt_torch.linalg.cholesky_pair import cholesky_pair as cholesky_pair
from manopt_torch.linalg.scalar import angle_over_sine as angle_over_sine
from manopt_torch.linalg.scalar import cos_and_sinc_sqrt as cos_and_sinc_sqrt
from manopt_torch.linalg.scalar import safe_sqrt as safe_sqrt
from manopt_torch.linalg.scalar import squared_angle as squared_angle
from manopt_torch.linalg.small import eigh_in_closed_form as eigh_in_closed_form
from manopt_torch.linalg.spectral import sym_eigh as sym_eigh
from manopt_torch.linalg.spectral import sym_expm as sym_expm
from manopt_torch.linalg.spectral import sym_floor as sym_floor
from manopt_torch.linalg.spectral import sym_inv_sqrtm as sym_inv_sqrtm
from manopt_torch.linalg.spectral import sym_logm as sym_logm
from manopt_torch.linalg.spectral import sym_sqrtm as sym_sqrtm
from manopt_torch.linalg.spectral import sym_sqrtm_pair as sym_sqrtm_pair
from manopt_torch.linalg.spectral import symmetric_part as symmetric_part
from manopt_torch.linalg.spectral_difference import spectral_difference as spectral_difference
from manopt_torch.linalg.subspaces import normal_part as normal_part
from manopt_torch.linalg.subspaces import principal_angles as principal_angles
from manopt_torch.linalg.unitary import unitary_angles as unitary_angles
from manopt_torch.linalg.unitary import unitary_exp as unitary_exp
from manopt_torch.linalg.unitary import unitary_log as unitary_log
from manopt_torch.linalg.unitary import unitary_root as unitary_root
from manopt_torch.linalg.whitening import whitened_log as whitened_log
