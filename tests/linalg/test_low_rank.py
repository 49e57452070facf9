"""Products of tall matrices in the order that BLAS likes, and the truncation that is made of them."""

import numpy as np
import pytest
import torch

from manopt_torch.linalg.low_rank import beside, less, tall_times, truncate_factored

ROWS = [3, 399, 400, 1000]


def drawn(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("m", ROWS)
def test_products_of_tall_matrices_are_those_of_numpy(m):
    Z, L, M = drawn(m, 4), drawn(m, 2), drawn(2, 4)
    truth = L.numpy() @ M.numpy()
    np.testing.assert_allclose(tall_times(L, M).numpy(), truth, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(less(Z, L, M).numpy(), Z.numpy() - truth, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(beside(L, -L).numpy(), np.hstack((L, -L)))


@pytest.mark.parametrize("m", ROWS)
def test_the_inputs_of_a_product_stay_as_they_were(m):
    Z, L, M = drawn(m, 4), drawn(m, 2), drawn(2, 4)
    before = [A.clone() for A in (Z, L, M)]
    less(Z, L, M), tall_times(L, M), beside(L, -L)
    assert all(map(torch.equal, (Z, L, M), before))


@pytest.mark.parametrize("m", [8, 500])
def test_a_lone_truncation_is_that_of_the_dense_matrix_and_that_in_a_batch(m):
    n, k = 6, 2
    U, V = torch.linalg.qr(drawn(m, k)).Q, torch.linalg.qr(drawn(n, k)).Q
    F, G, K, S = beside(U, drawn(m, k)), beside(V, drawn(n, k)), drawn(k, k), drawn(k, k) / 10
    with torch.no_grad():
        lone = truncate_factored(F, K, S, G)
        batched = truncate_factored(*(torch.stack([A, torch.full_like(A, torch.nan)]) for A in (F, K, S, G)))
    middle = np.block([[K.numpy(), S.numpy()], [S.numpy(), np.zeros((k, k))]])
    left, values, right = np.linalg.svd(F.numpy() @ middle @ G.numpy().T, full_matrices=False)
    nearest = (left[:, :k] * values[:k]) @ right[:k]
    np.testing.assert_allclose((lone[0] @ lone[1] @ lone[2].mT).numpy(), nearest, rtol=1e-12, atol=1e-12)
    for alone, together in zip(lone, batched, strict=True):
        torch.testing.assert_close(together[0], alone, rtol=1e-12, atol=1e-12)
    assert batched[1][1].isnan().all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_lone_truncation_that_is_not_finite_is_marked(value):
    F, G, K = torch.eye(6, 2), torch.eye(5, 2), torch.tensor([[value]])
    with torch.no_grad():
        found = truncate_factored(F, K, torch.ones(1, 1), G)
    assert found[1].isnan().all()
