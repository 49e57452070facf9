r"""The linear system of a step, from rows of the Jacobian that come a range of samples at a time.

With $B$ samples, $N$ residuals, $P$ parameters and a diagonal matrix $D$, the step is

$$d = (\tfrac1B J'J + \lambda D)^{-1} \tfrac1B J'r = D^{-1} J' (\tfrac1B J D^{-1} J' + \lambda I)^{-1} \tfrac1B r,$$

the first form, $P \times P$, for $N \ge P$, the second, $N \times N$, for $N < P$.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from manopt_torch.errors import ShapeError
from manopt_torch.training.jacobian import Rows
from manopt_torch.training.solving import solved

Ranges = Callable[[int, int], Rows]  # of samples
Scaling = Callable[[torch.Tensor], torch.Tensor]  # from the diagonal of J'J/B to D, both of shape (P,)


class Split(NamedTuple):
    """How the samples of a batch are divided."""

    samples: int
    rows: int  # residuals of one sample
    chunk: int  # samples at a time

    def ranges(self) -> list[tuple[int, int]]:
        """List the ranges of samples."""
        return [(a, min(a + self.chunk, self.samples)) for a in range(0, self.samples, self.chunk)]

    def of_rows(self, samples: tuple[int, int]) -> slice:
        """Return the rows of a range of samples."""
        return slice(samples[0] * self.rows, samples[1] * self.rows)


class NormalSystem(NamedTuple):
    """A symmetric system to be solved with any damping."""

    matrix: torch.Tensor  # shape: (n, n)
    rhs: torch.Tensor  # shape: (n,)
    weights: torch.Tensor  # shape: (n,), what the damping multiplies
    to_parameters: Callable[[torch.Tensor], torch.Tensor]

    def step(self, damping: float, method: str) -> torch.Tensor:
        """Return $d$, shape `(P,)`; not finite where the method finds no solution."""
        matrix = self.matrix.clone()
        matrix.diagonal().add_(self.weights, alpha=damping)
        return self.to_parameters(solved(method, matrix, self.rhs))


def normal_system(rows: Ranges, split: Split, columns: int, scaling: Scaling) -> NormalSystem:
    """Form the smaller of the two systems, with at most two ranges of rows in memory at a time."""
    if split.samples * split.rows >= columns:
        return _of_columns(rows, split, scaling)
    return _of_rows(rows, split, scaling)


def _of_columns(rows: Ranges, split: Split, scaling: Scaling) -> NormalSystem:
    share, (first, *others) = 1 / split.samples, split.ranges()
    J, r, _ = rows(*first)
    matrix, rhs = J.mT @ J, J.mT @ r
    for samples in others:
        del J  # before the next takes its place
        J, r, _ = rows(*samples)
        matrix.addmm_(J.mT, J)
        rhs.addmv_(J.mT, r)
    matrix.mul_(share)
    return NormalSystem(matrix, rhs.mul_(share), _weights(scaling, matrix.diagonal()), lambda y: y)


def _of_rows(rows: Ranges, split: Split, scaling: Scaling) -> NormalSystem:
    share, ranges = 1 / split.samples, split.ranges()
    if len(ranges) == 1:
        whole = rows(*ranges[0])
        rows = lambda start, stop: whole  # noqa: E731
    squares, residuals = [], []
    for samples in ranges:
        J, r, _ = rows(*samples)
        squares.append((J * J).sum(0))
        residuals.append(r)
        del J
    weights = _weights(scaling, torch.stack(squares).sum(0).mul_(share))
    r = torch.cat(residuals)
    matrix = _gram(rows, split, weights)

    def to_parameters(y: torch.Tensor) -> torch.Tensor:
        step = torch.zeros_like(weights)
        for samples in ranges:
            step.addmv_(rows(*samples).jacobian.mT, y[split.of_rows(samples)])
        return step / weights

    return NormalSystem(matrix.mul_(share), r * share, torch.ones_like(r), to_parameters)


def _weights(scaling: Scaling, diagonal: torch.Tensor) -> torch.Tensor:
    weights = scaling(diagonal)
    if not isinstance(weights, torch.Tensor) or weights.shape != diagonal.shape:
        got = f"shape {tuple(weights.shape)}" if isinstance(weights, torch.Tensor) else type(weights).__name__
        raise ShapeError(
            f"damping_strategy.scaling(diagonal) must return a tensor of its shape, {tuple(diagonal.shape)}, got {got}"
        )
    return weights


def _gram(rows: Ranges, split: Split, weights: torch.Tensor) -> torch.Tensor:
    """Return $J D^{-1} J'$, block by block: rows are computed again rather than kept."""
    ranges, number = split.ranges(), split.samples * split.rows
    matrix = weights.new_zeros(number, number)
    for k, upper in enumerate(ranges):
        a = split.of_rows(upper)
        left = rows(*upper).jacobian / weights
        for lower in ranges[k:]:
            b = split.of_rows(lower)
            block = left @ rows(*lower).jacobian.mT
            matrix[a, b], matrix[b, a] = block, block.mT
    return matrix
