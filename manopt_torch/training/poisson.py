"""The loss of counts."""

from typing import Any

import torch

from manopt_torch.training.losses import Loss, difference, root


class PoissonNLLLoss(Loss):
    r"""Poisson's likelihood of counts, whose logarithmic rates are the outputs: for numbers of events.

    $\ell = e^y - t - t(y - \log t)$, half the deviance: PyTorch's `PoissonNLLLoss`, which may be negative, less its
    least value, so gradients and minimisers are the same. The residual is its root with the sign of $e = y - \log t$,
    smooth also where $\ell$ is zero; of a count $t = 0$ it is $e^{y/2}$.

    Targets are counts $t \ge 0$, or a pair of counts and exposures, which are positive: events in a time or an area
    $s$ have the rate $s e^y$.

    Shapes:
        outputs, counts and exposures alike.

    References:
        [McCullaghNelder:1989].

    Examples:
        >>> import torch
        >>> rates, counts = torch.tensor([1.0, 4.0]), torch.tensor([0.0, 4.0])
        >>> PoissonNLLLoss().residuals(rates.log(), counts)
        tensor([1., 0.])
        >>> PoissonNLLLoss()(rates.log(), (2 * counts, torch.tensor([2.0, 2.0])))
        tensor(1.0000)
    """

    def forward(self, outputs: torch.Tensor, targets: Any) -> torch.Tensor:
        """Return the mean of half the deviances."""
        return self.residuals(outputs, targets).square().mean()

    def residuals(self, outputs: torch.Tensor, targets: Any) -> torch.Tensor:
        """Return the roots of the losses, with the sign of the difference of logarithmic rates."""
        t: Any = targets
        if isinstance(targets, (tuple, list)):
            t, exposures = targets
            outputs = difference(outputs, -exposures.to(outputs.dtype).log())
        t = t.to(outputs.dtype)  # counts are whole numbers as a rule
        e = difference(outputs, torch.where(t == 0, 1.0, t).log())
        near = (e.abs() < 0.25) & (t > 0)
        # near zero, e^x - 1 - x loses its digits: it is x^2/2 times this series
        x, series = torch.where(near, e, 0.0), torch.ones_like(e)
        for k in range(13, 2, -1):
            series = 1 + series * x / k
        close = x * (torch.where(near, t, 1.0) * (0.5 * series)).sqrt()
        far = root(torch.where(near, 1.0, outputs.exp() - t - t * e))
        return torch.where(near, close, torch.where((e < 0) & (t > 0), -far, far))
