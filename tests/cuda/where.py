"""The device of the tests in this folder: CUDA, or one that is pretended if `MANOPT_TORCH_PRETEND` is set."""

import os

import torch

PRETEND = bool(os.environ.get("MANOPT_TORCH_PRETEND"))
DEVICE = "pretended" if PRETEND else "cuda"
THERE_IS_ONE = PRETEND or torch.cuda.is_available()
