"""Access to the step sizes of a run."""

from typing import Any

from manopt_torch.plans.options import get_options


def get_stepsize(p: Any, o: Any, i: int, eta: Any = None) -> Any:
    """Return the step size that the options' stepsize chooses for iteration `i`.

    Args:
        p: the problem.
        o: options with a field `stepsize`, decorated or not.
        i: the iteration.
        eta: a direction other than minus the gradient.
    """
    bare = get_options(o)
    step = bare.stepsize(p, bare, i) if eta is None else bare.stepsize(p, bare, i, eta)
    bare.trial = None  # nobody takes the step; the trial of a line search holds a graph
    return step


def get_initial_stepsize(p: Any, o: Any) -> Any:
    """Return the step size that the options' stepsize starts from."""
    bare = get_options(o)
    return bare.stepsize.initial(p, bare)


def get_last_stepsize(p: Any, o: Any, i: int) -> Any:
    """Return the step size taken last; before the first step, that of iteration `i`."""
    bare = get_options(o)
    return get_stepsize(p, bare, i) if bare.last_stepsize is None else bare.last_stepsize
