"""The only part of the package that imports another framework, when a function is called."""

from manopt_torch.adapters.geoopt import from_geoopt as from_geoopt
from manopt_torch.adapters.geoopt import to_geoopt as to_geoopt
from manopt_torch.adapters.lightning import lightning_module as lightning_module
from manopt_torch.adapters.nevergrad import NevergradOptimizer as NevergradOptimizer
from manopt_torch.adapters.pymanopt import from_pymanopt as from_pymanopt
from manopt_torch.adapters.pymanopt import to_pymanopt as to_pymanopt
from manopt_torch.adapters.scipy import ScipyDE as ScipyDE
from manopt_torch.adapters.scipy import ScipyMinimize as ScipyMinimize
from manopt_torch.adapters.scipy import scipy_minimize as scipy_minimize
from manopt_torch.adapters.tensorboard import DebugTensorBoard as DebugTensorBoard
from manopt_torch.adapters.tqdm import tqdm_bar as tqdm_bar
from manopt_torch.adapters.tqdm import use_tqdm as use_tqdm
