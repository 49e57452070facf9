"""Debug actions: print something about a run while it goes on."""

from manopt_torch.plans.debug.base import DebugAction as DebugAction
from manopt_torch.plans.debug.clock import DebugTime as DebugTime
from manopt_torch.plans.debug.entry import DebugChange as DebugChange
from manopt_torch.plans.debug.entry import DebugEntry as DebugEntry
from manopt_torch.plans.debug.entry import DebugEntryChange as DebugEntryChange
from manopt_torch.plans.debug.factory import DebugActionFactory as DebugActionFactory
from manopt_torch.plans.debug.factory import DebugFactory as DebugFactory
from manopt_torch.plans.debug.group import DebugDivider as DebugDivider
from manopt_torch.plans.debug.group import DebugEvery as DebugEvery
from manopt_torch.plans.debug.group import DebugGroup as DebugGroup
from manopt_torch.plans.debug.progress import DebugProgress as DebugProgress
from manopt_torch.plans.debug.progress import Progress as Progress
from manopt_torch.plans.debug.progress import register_progress_bar as register_progress_bar
from manopt_torch.plans.debug.stop import DebugStoppingCriterion as DebugStoppingCriterion
from manopt_torch.plans.debug.value import DebugCost as DebugCost
from manopt_torch.plans.debug.value import DebugGradient as DebugGradient
from manopt_torch.plans.debug.value import DebugGradientNorm as DebugGradientNorm
from manopt_torch.plans.debug.value import DebugIterate as DebugIterate
from manopt_torch.plans.debug.value import DebugIteration as DebugIteration
from manopt_torch.plans.debug.value import DebugProximalParameter as DebugProximalParameter
from manopt_torch.plans.debug.value import DebugStepsize as DebugStepsize
