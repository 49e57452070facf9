"""Criteria on inner iterations: of truncated conjugate gradients, and of Lanczos' method."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.functional.cg_iteration import EXCEEDED, MODEL_INCREASED, NEGATIVE_CURVATURE, RESIDUAL
from manopt_torch.plans.options import check_range
from manopt_torch.plans.stopping.base import StoppingCriterion


class _StopForReason(StoppingCriterion):
    """Stop a problem whose last iteration ended for one reason."""

    code: int
    text: str

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the reason."""
        return field_of_solver(self, o, "inner_reason") == self.code

    def reason(self, o: Any, i: int) -> str:
        """Name the reason."""
        return f"{self.text} after {i} iterations."

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class StopWhenTrustRegionIsExceeded(_StopForReason):
    r"""Stop where the next iterate would have left the trust region; the last one is on its boundary.

    For `TruncatedConjugateGradientOptions`.
    """

    code, text = EXCEEDED, "The boundary of the trust region was reached"


class StopWhenCurvatureIsNegative(_StopForReason):
    r"""Stop where a direction had no positive curvature $\langle\delta, H\delta\rangle$.

    The last iterate is on the boundary. For `TruncatedConjugateGradientOptions`.
    """

    code, text = NEGATIVE_CURVATURE, "The curvature of the model was not positive: the boundary was reached"


class StopWhenModelIncreased(_StopForReason):
    """Stop where the model did not fall, for rounding or because the Hessian is not symmetric; the step is undone.

    For `TruncatedConjugateGradientOptions`.
    """

    code, text = MODEL_INCREASED, "The model increased"


class StopWhenResidualIsReducedByFactorOrPower(StoppingCriterion):
    r"""Stop where the residual of Newton's equation is small.

    $\lVert r_k\rVert \le \lVert r_0\rVert \min(\kappa, \lVert r_0\rVert^\theta)$.

    For `TruncatedConjugateGradientOptions`. Inside trust regions $\theta$ gives the order $1 + \theta$ of convergence.

    Args:
        kappa: factor in $(0, 1]$.
        theta: power, at least zero.

    Raises:
        OptionsError: if a parameter is out of its range.
    """

    kappa: float
    theta: float

    indicates_convergence = True

    def __init__(self, kappa: float = 0.1, theta: float = 1.0) -> None:
        self.kappa, self.theta = kappa, theta
        check_range(self, "kappa", 0.0, 1.0, open_high=False)
        check_range(self, "theta", 0.0, float("inf"), open_low=False)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the squares."""
        first = field_of_solver(self, o, "first_squared_residual")
        power = o.lane.min(first, 1.0) ** self.theta
        small = o.squared_residual <= first * o.lane.min(power, self.kappa * self.kappa)
        return small & ((o.inner_reason == 0) | (o.inner_reason == RESIDUAL))

    def reason(self, o: Any, i: int) -> str:
        """Name the bounds."""
        how = f"by the factor {self.kappa:g} or the power {1 + self.theta:g}"
        return f"The residual was reduced {how} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenResidualIsReducedByFactorOrPower({self.kappa:g}, {self.theta:g})"


class StopWhenAllLanczosVectorsUsed(StoppingCriterion):
    """Stop a problem whose cubic model was not solved although all Lanczos vectors were used.

    For `AdaptiveRegularizationOptions`. Where the vectors span the whole tangent space they always suffice, but for
    rounding.
    """

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Read the outcome of the last inner iteration."""
        return field_of_solver(self, o, "lanczos_unsolved")

    def reason(self, o: Any, i: int) -> str:
        """Say so."""
        return f"All Lanczos vectors were used in iteration {i} and did not solve the model."

    def __repr__(self) -> str:
        return "StopWhenAllLanczosVectorsUsed()"


def field_of_solver(criterion: StoppingCriterion, o: Any, name: str) -> Any:
    """Return a field that only some options have.

    Raises:
        OptionsError: if these have none.
    """
    if not hasattr(o, name):
        raise OptionsError(f"{type(criterion).__name__} needs the field {name}, {type(o).__name__} has none")
    return getattr(o, name)
