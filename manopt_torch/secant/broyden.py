"""Updates of Broyden's class, of rank two, for the Hessian and for its inverse."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functional.secant import broyden_update, davidon_phi
from manopt_torch.plans.options import check_range
from manopt_torch.secant.base import SecantUpdate

_RULES = ("constant", "davidon")


class InverseBFGS(SecantUpdate):
    r"""The update of Broyden, Fletcher, Goldfarb and Shanno, of the inverse Hessian.

    $$H_+ = \Bigl(I - \frac{s y^\top}{s^\top y}\Bigr) H \Bigl(I - \frac{y s^\top}{s^\top y}\Bigr) + \frac{s
    s^\top}{s^\top y}$$

    The default and the usual best choice; the only one with limited memory.

    References:
        [NocedalWright:2006], section 6.1.

    Examples:
        >>> InverseBFGS().inverse
        True
    """

    limited_memory: ClassVar[bool] = True

    def update(self, A: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return the new matrix."""
        return broyden_update(A, y, s, 1.0), True


class BFGS(SecantUpdate):
    r"""The same update, of the Hessian: $B_+ = B - \frac{B s s^\top B}{s^\top B s} + \frac{y y^\top}{s^\top y}$.

    Each direction solves a linear system; `InverseBFGS` gives the same one by a product.

    References:
        [NocedalWright:2006], section 6.1.

    Examples:
        >>> BFGS().inverse
        False
    """

    inverse: ClassVar[bool] = False

    def update(self, A: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return the new matrix."""
        return broyden_update(A, s, y, 0.0), True


class InverseDFP(SecantUpdate):
    r"""The update of Davidon, Fletcher and Powell, of the inverse Hessian.

    $$H_+ = H - \frac{H y y^\top H}{y^\top H y} + \frac{s s^\top}{s^\top y}$$

    Historic; recovers from bad estimates more slowly than `InverseBFGS`. It lives on searches that come close to the
    minimum along the ray: in narrow valleys give it `stepsize=HagerZhangLinesearch()`.

    References:
        [FletcherPowell:1963]; [NocedalWright:2006], section 6.1.

    Examples:
        >>> InverseDFP().inverse
        True
    """

    def update(self, A: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return the new matrix."""
        return broyden_update(A, y, s, 0.0), True


class DFP(SecantUpdate):
    """The update of Davidon, Fletcher and Powell, of the Hessian; as particular as `InverseDFP` about its search.

    References:
        [FletcherPowell:1963]; [NocedalWright:2006], section 6.1.

    Examples:
        >>> DFP().inverse
        False
    """

    inverse: ClassVar[bool] = False

    def update(self, A: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return the new matrix."""
        return broyden_update(A, s, y, 1.0), True


@dataclass(eq=False, repr=False)
class InverseBroyden(SecantUpdate):
    r"""Between two inverse updates: $H_+ = (1 - \phi) H_+^{BFGS} + \phi H_+^{DFP}$.

    Args:
        phi: $\phi \in [0, 1]$; 0 is `InverseBFGS`, 1 is `InverseDFP`.
        rule: "constant" takes `phi`, "davidon" the one for which $H^{-1} H_+$ has the least condition number.

    Raises:
        OptionsError: if `phi` is out of its range, or the rule unknown.

    References:
        [NocedalWright:2006], section 6.3; [Davidon:1975].

    Examples:
        >>> InverseBroyden(0.5)
        InverseBroyden(0.5)
    """

    phi: float = 0.0
    _: KW_ONLY
    rule: str = "constant"

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check(self)

    def update(self, A: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return the new matrix."""
        phi = davidon_phi(A, y, s) if self.rule == "davidon" else 1.0 - self.phi
        return broyden_update(A, y, s, phi), True

    def __repr__(self) -> str:
        return _told(self)


@dataclass(eq=False, repr=False)
class Broyden(SecantUpdate):
    r"""Between two updates of the Hessian: $B_+ = (1 - \phi) B_+^{BFGS} + \phi B_+^{DFP}$.

    Args:
        phi: $\phi \in [0, 1]$; 0 is `BFGS`, 1 is `DFP`.
        rule: "constant" takes `phi`, "davidon" the one for which $B^{-1} B_+$ has the least condition number.

    Raises:
        OptionsError: if `phi` is out of its range, or the rule unknown.

    References:
        [NocedalWright:2006], section 6.3; [Davidon:1975].

    Examples:
        >>> Broyden(rule="davidon")
        Broyden(rule='davidon')
    """

    inverse: ClassVar[bool] = False

    phi: float = 0.0
    _: KW_ONLY
    rule: str = "constant"

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check(self)

    def update(self, A: torch.Tensor, s: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return the new matrix."""
        phi = davidon_phi(A, s, y) if self.rule == "davidon" else self.phi
        return broyden_update(A, s, y, phi), True

    def __repr__(self) -> str:
        return _told(self)


def _check(update: Any) -> None:
    check_range(update, "phi", 0.0, 1.0, open_low=False, open_high=False)
    if update.rule not in _RULES:
        known = " or ".join(map(repr, _RULES))
        raise OptionsError(f"{type(update).__name__}: rule must be {known}, got {update.rule!r}")


def _told(update: Any) -> str:
    told = repr(update.phi) if update.rule == "constant" else f"rule={update.rule!r}"
    return f"{type(update).__name__}({told})"
