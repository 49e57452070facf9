"""What an approximation of the Hessian is."""

from abc import ABC, abstractmethod
from typing import Any

from manopt_torch._keywords import what_came
from manopt_torch._typing import Tangent
from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import Functor


class HessianApproximation(Functor, ABC):
    """Stand in for the Hessian of a problem that has only a gradient."""

    @abstractmethod
    def apply(self, p: Any, o: Any, u: Tangent) -> Tangent:
        """Return the approximation at the iterate `o.x` applied to a tangent vector."""

    def update(self, p: Any, o: Any, accepted: Any, x: Any, gradient: Tangent, eta: Tangent) -> None:
        """Learn from a step: `o.x` and `o.gradient` are where it led, `x` and `gradient` where it came from.

        Args:
            p: the problem.
            o: the options.
            accepted: the problems that took the step `eta`.
            x: the former iterate.
            gradient: the gradient there.
            eta: the step, a tangent vector at `x`.
        """
        return None


def split_hessian(hessian: Any) -> tuple[Any, Any]:
    """Return what a front function was given as the Hessian for the problem, and as an approximation: one is None."""
    return (None, hessian) if isinstance(hessian, HessianApproximation) else (hessian, None)


def check_hessian_option(o: Any) -> None:
    """Raise an OptionsError unless `o.hessian` is None or an approximation, with which a gradient is all `o` needs."""
    if o.hessian is None:
        return
    if not isinstance(o.hessian, HessianApproximation):
        raise OptionsError(
            f"{type(o).__name__}: hessian must be None or an approximation such as ApproxHessianFiniteDifference(), "
            f"got {what_came(o.hessian)}; a Hessian of one's own goes into HessianProblem(M, cost, gradient, hessian)"
        )
    vars(o)["needs"] = ("cost", "gradient")
