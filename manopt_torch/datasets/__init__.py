"""Inputs to try things on: public tables shipped with the package, and artificial signals and images."""

from manopt_torch.datasets import nist as nist
from manopt_torch.datasets.artificial import add_noise as add_noise
from manopt_torch.datasets.artificial import artificial_in_sar_image as artificial_in_sar_image
from manopt_torch.datasets.artificial import artificial_s1_signal as artificial_s1_signal
from manopt_torch.datasets.artificial import artificial_s1_slope_signal as artificial_s1_slope_signal
from manopt_torch.datasets.artificial import artificial_s2_lemniscate as artificial_s2_lemniscate
from manopt_torch.datasets.artificial_images import artificial_s2_rotations_image as artificial_s2_rotations_image
from manopt_torch.datasets.artificial_images import artificial_s2_whirl_image as artificial_s2_whirl_image
from manopt_torch.datasets.artificial_images import artificial_s2_whirl_patch as artificial_s2_whirl_patch
from manopt_torch.datasets.artificial_images import artificial_spd_image as artificial_spd_image
from manopt_torch.datasets.artificial_images import artificial_spd_image2 as artificial_spd_image2
from manopt_torch.datasets.table import Table as Table
from manopt_torch.datasets.table import covariance_blocks as covariance_blocks
from manopt_torch.datasets.table import load_iris as load_iris
