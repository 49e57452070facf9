"""Stepsizes: functors that decide how far each problem goes."""

from manopt_torch.stepsizes.access import get_initial_stepsize as get_initial_stepsize
from manopt_torch.stepsizes.access import get_last_stepsize as get_last_stepsize
from manopt_torch.stepsizes.access import get_stepsize as get_stepsize
from manopt_torch.stepsizes.armijo import ArmijoLinesearch as ArmijoLinesearch
from manopt_torch.stepsizes.base import Linesearch as Linesearch
from manopt_torch.stepsizes.base import Stepsize as Stepsize
from manopt_torch.stepsizes.constant import ConstantStepsize as ConstantStepsize
from manopt_torch.stepsizes.decreasing import DecreasingStepsize as DecreasingStepsize
