"""Rules of the conjugate gradient method: how much of the former direction to keep, and when to start over."""

from manopt_torch.conjugacy.base import ConjugateCoefficient as ConjugateCoefficient
from manopt_torch.conjugacy.base import Proposal as Proposal
from manopt_torch.conjugacy.base import RestartCondition as RestartCondition
from manopt_torch.conjugacy.by_change import HagerZhangCoefficient as HagerZhangCoefficient
from manopt_torch.conjugacy.by_change import HestenesStiefelCoefficient as HestenesStiefelCoefficient
from manopt_torch.conjugacy.by_change import LiuStoreyCoefficient as LiuStoreyCoefficient
from manopt_torch.conjugacy.by_change import PolakRibiereCoefficient as PolakRibiereCoefficient
from manopt_torch.conjugacy.by_length import ConjugateDescentCoefficient as ConjugateDescentCoefficient
from manopt_torch.conjugacy.by_length import DaiYuanCoefficient as DaiYuanCoefficient
from manopt_torch.conjugacy.by_length import FletcherReevesCoefficient as FletcherReevesCoefficient
from manopt_torch.conjugacy.by_length import SteepestDescentCoefficient as SteepestDescentCoefficient
from manopt_torch.conjugacy.combined import BealeRestartCoefficient as BealeRestartCoefficient
from manopt_torch.conjugacy.combined import HybridCoefficient as HybridCoefficient
from manopt_torch.conjugacy.restart import NeverRestart as NeverRestart
from manopt_torch.conjugacy.restart import RestartOnNonDescent as RestartOnNonDescent
from manopt_torch.conjugacy.restart import RestartOnNonSufficientDescent as RestartOnNonSufficientDescent
