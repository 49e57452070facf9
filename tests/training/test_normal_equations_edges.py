"""Which of the two linear systems of a step is formed, and that both say the same."""

import pytest
import torch

from manopt_torch.training.jacobian import Rows
from manopt_torch.training.normal_equations import Split, normal_system

D = torch.float64


@pytest.mark.parametrize(("samples", "rows", "columns"), [(3, 2, 5), (3, 2, 6), (3, 2, 7), (1, 4, 4), (4, 1, 5)])
@pytest.mark.parametrize("chunk", [1, 2, 9])
def test_the_smaller_system_is_formed(samples, rows, columns, chunk):
    g = torch.Generator().manual_seed(0)
    J = torch.randn(samples * rows, columns, generator=g, dtype=D)
    r = torch.randn(samples * rows, generator=g, dtype=D)

    def of(start, stop):
        return Rows(J[start * rows : stop * rows], r[start * rows : stop * rows])

    system = normal_system(of, Split(samples, rows, chunk), columns, lambda d: d + 0.5)
    size = min(samples * rows, columns)
    assert system.matrix.shape == (size, size) and system.rhs.shape == (size,)
    H = J.mT @ J / samples
    truth = torch.linalg.solve(H + 0.3 * torch.diag(H.diagonal() + 0.5), J.mT @ r / samples)
    torch.testing.assert_close(system.step(0.3, "cholesky"), truth, rtol=1e-10, atol=1e-12)
