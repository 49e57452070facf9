"""Smooth stand-ins for the exact penalties max(0, g) and |h|."""

from abc import ABC, abstractmethod

import torch


class Smoothing(ABC):
    """How the kinks of an exact penalty are rounded off; the smaller the width `u`, the less."""

    @abstractmethod
    def inequality(self, g: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        r"""Return a smooth approximation of $\max(0, g)$ of width `u`."""

    @abstractmethod
    def equality(self, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        r"""Return a smooth approximation of $\lvert h\rvert$ of width `u`."""

    @abstractmethod
    def inequality_slope(self, g: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the derivative of `inequality` with respect to `g`, between 0 and 1."""

    @abstractmethod
    def equality_slope(self, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the derivative of `equality` with respect to `h`, between -1 and 1."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class LogarithmicSumOfExponentials(Smoothing):
    r"""Smooth an exact penalty by $u\log(1 + e^{g/u})$ and $u\log(e^{h/u} + e^{-h/u})$.

    Lies above the exact penalty by at most $u \log 2$ and is smooth of all orders. Nothing overflows.

    References:
        [LiuBoumal:2020].

    Examples:
        >>> import torch
        >>> from manopt_torch import LogarithmicSumOfExponentials
        >>> rounded = LogarithmicSumOfExponentials()
        >>> rounded.inequality(torch.tensor([-1e9, 0.0, 1e9]), torch.tensor(0.1))
        tensor([0.0000e+00, 6.9315e-02, 1.0000e+09])
    """

    def inequality(self, g: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the smooth approximation."""
        return u * torch.logaddexp(g / u, torch.zeros_like(g))

    def equality(self, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the smooth approximation."""
        return u * torch.logaddexp(h / u, -h / u)

    def inequality_slope(self, g: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return its derivative."""
        return torch.sigmoid(g / u)

    def equality_slope(self, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return its derivative."""
        return torch.tanh(h / u)


class LinearQuadraticHuber(Smoothing):
    r"""Smooth an exact penalty by a parabola between 0 and $u$, and by $\sqrt{h^2 + u^2}$.

    $0$ for $g \le 0$, $g^2 / 2u$ up to $u$ and $g - u/2$ beyond: it does not touch points well inside the feasible
    set, as the sum of exponentials does.

    References:
        [LiuBoumal:2020].

    Examples:
        >>> import torch
        >>> from manopt_torch import LinearQuadraticHuber
        >>> LinearQuadraticHuber().inequality(torch.tensor([-1.0, 0.5, 2.0]), torch.tensor(1.0))
        tensor([0.0000, 0.1250, 1.5000])
    """

    def inequality(self, g: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the smooth approximation."""
        positive = g.clamp(min=0)
        within = torch.minimum(positive, u)
        return within / u * (positive - 0.5 * within)

    def equality(self, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the smooth approximation."""
        return torch.hypot(h, u.expand_as(h))

    def inequality_slope(self, g: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return its derivative."""
        return (g / u).clamp(0, 1)

    def equality_slope(self, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return its derivative."""
        return h / torch.hypot(h, u.expand_as(h))
