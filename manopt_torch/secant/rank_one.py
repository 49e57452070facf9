"""The symmetric update of rank one, for the Hessian and for its inverse."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.functional.secant import rank_one_update
from manopt_torch.plans.options import check_range
from manopt_torch.secant.base import SecantUpdate


@dataclass(eq=False, repr=False)
class InverseSR1(SecantUpdate):
    r"""The symmetric update of rank one, of the inverse Hessian: $H_+ = H + z z^\top / (z^\top y)$, $z = s - H y$.

    It needs no positive curvature and often comes closer to the Hessian than `InverseBFGS`, but the matrix may become
    indefinite, and its direction one of ascent. The first matrix has half the scale of other updates: at their scale
    $z^\top y$ is zero.

    Args:
        r: the update is skipped where $\lvert z^\top y\rvert < r \lVert z\rVert\lVert y\rVert$; $10^{-8}$ as in
            [NocedalWright:2006], 0 skips only divisions by zero.

    Raises:
        OptionsError: if `r` is not in [0, 1).

    References:
        [NocedalWright:2006], section 6.2.

    Examples:
        >>> InverseSR1()
        InverseSR1(1e-08)
    """

    needs_curvature: ClassVar[bool] = False
    first_factor: ClassVar[float] = 0.5

    r: float = 1e-8

    def __post_init__(self) -> None:
        """Check the range."""
        check_range(self, "r", 0.0, 1.0, open_low=False)

    def update(self, A: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return the new matrix, and where it is safe."""
        return rank_one_update(A, y, s, self.r)

    def __repr__(self) -> str:
        return f"InverseSR1({self.r!r})"


@dataclass(eq=False, repr=False)
class SR1(SecantUpdate):
    r"""The symmetric update of rank one, of the Hessian: $B_+ = B + z z^\top / (z^\top s)$ with $z = y - B s$.

    Args:
        r: as in `InverseSR1`.

    Raises:
        OptionsError: if `r` is not in [0, 1).

    References:
        [NocedalWright:2006], section 6.2.

    Examples:
        >>> SR1(0.0)
        SR1(0.0)
    """

    inverse: ClassVar[bool] = False
    needs_curvature: ClassVar[bool] = False
    first_factor: ClassVar[float] = 0.5

    r: float = 1e-8

    def __post_init__(self) -> None:
        """Check the range."""
        check_range(self, "r", 0.0, 1.0, open_low=False)

    def update(self, A: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return the new matrix, and where it is safe."""
        return rank_one_update(A, s, y, self.r)

    def __repr__(self) -> str:
        return f"SR1({self.r!r})"
