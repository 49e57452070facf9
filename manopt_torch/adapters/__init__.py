"""The only part of the package that imports another framework, when a function is called."""

from manopt_torch.adapters.tqdm import tqdm_bar as tqdm_bar
from manopt_torch.adapters.tqdm import use_tqdm as use_tqdm
