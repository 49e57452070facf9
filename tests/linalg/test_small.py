"""Closed-form eigenproblems, against LAPACK and by what an eigendecomposition has to keep."""

import math

import pytest
import torch

from manopt_torch.linalg import sym_eigh
from manopt_torch.linalg.small import eigh_in_closed_form
from tests.together import together

COUNT = 2000
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
SIZES = pytest.mark.parametrize("n", [1, 2, 3])


def matrices(kind: str, n: int, dtype: torch.dtype) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    gaussian, normal = (torch.randn(*shape, dtype=torch.float64, generator=g) for shape in ((COUNT, n, n), (COUNT, n)))
    frame, _ = torch.linalg.qr(gaussian)
    eps = torch.finfo(dtype).eps
    pair = torch.cat([2 + 1e-8 * normal[:, 1:], normal[:, :1]], -1)
    spectra = {
        "random": normal,
        "multiples of the identity": torch.full_like(normal, 3.0),
        "a pair": torch.cat([torch.full_like(normal[:, 1:], -2.0), normal[:, :1]], -1),
        "nearly a pair": pair,
        "nearly multiples of the identity": 1 + 1e-8 * normal,
        "a spread of rounding": 1 + eps * normal,
        "widely scaled": 10 ** (4 * normal),
        "tiny": 1e-30 * normal,
        "huge": 1e30 * normal,
        "rank one": torch.cat([torch.zeros_like(normal[:, 1:]), normal[:, :1]], -1),
        "zero": torch.zeros_like(normal),
    }
    if kind == "diagonal":
        return torch.diag_embed(10 ** (4 * normal)).to(dtype)
    lower = ((frame * spectra[kind][:, None, :]) @ frame.mT).tril().to(dtype)
    return lower + lower.tril(-1).mT


KINDS = [
    "random",
    "multiples of the identity",
    "a pair",
    "nearly a pair",
    "nearly multiples of the identity",
    "a spread of rounding",
    "widely scaled",
    "tiny",
    "huge",
    "rank one",
    "zero",
    "diagonal",
]


@together()
@SIZES
@DTYPES
@pytest.mark.parametrize("kind", KINDS)
def test_a_few_roundings_of_the_norm(kind: str, n: int, dtype: torch.dtype) -> None:
    X = matrices(kind, n, dtype)
    values, vectors = (a.double() for a in eigh_in_closed_form(X))
    X, limit = X.double(), 16 * torch.finfo(dtype).eps  # LAPACK itself reaches 14 on these matrices
    norm = torch.linalg.matrix_norm(X).clamp(min=1e-300)[:, None]
    assert (values[:, 1:] >= values[:, :-1]).all()
    assert ((values - torch.linalg.eigvalsh(X)).abs() <= limit * norm).all()
    residual = (vectors * values[:, None, :]) @ vectors.mT - X
    assert (residual.abs() <= limit * norm[..., None]).all()
    assert (vectors.mT @ vectors - torch.eye(n, dtype=torch.float64)).abs().max() <= limit


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_becomes_nan_and_spares_its_neighbours(bad: float) -> None:
    for n in (1, 2, 3):
        X = matrices("random", n, torch.float64)[:3]
        for i in range(n):
            for j in range(i + 1):
                spoilt = X.clone()
                spoilt[1, i, j] = spoilt[1, j, i] = bad
                values, vectors = sym_eigh(spoilt)
                clean_values, clean_vectors = sym_eigh(X)
                assert n == 1 or torch.isnan(values[1]).all()
                assert not torch.isfinite(values[1]).any()
                assert torch.equal(values[[0, 2]], clean_values[[0, 2]])
                assert torch.equal(vectors[[0, 2]], clean_vectors[[0, 2]])


@together()
@SIZES
@DTYPES
def test_a_matrix_gets_the_same_bits_in_every_batch(n: int, dtype: torch.dtype) -> None:
    X = matrices("random", n, dtype)
    for whole, part in zip(sym_eigh(X), sym_eigh(X[3:20:3]), strict=True):
        assert torch.equal(whole[3:20:3], part)
    for whole, part in zip(sym_eigh(X), sym_eigh(X[:2][:, None]), strict=True):
        assert torch.equal(whole[:2][:, None], part)


@SIZES
def test_transforms_and_other_devices(n: int) -> None:
    X = matrices("random", n, torch.float64)[:4]
    for mapped, batched in zip(torch.func.vmap(eigh_in_closed_form)(X), eigh_in_closed_form(X), strict=True):
        assert torch.equal(mapped, batched)
    compiled = torch.compile(eigh_in_closed_form, fullgraph=True, backend="eager")
    assert torch.equal(compiled(X)[0], eigh_in_closed_form(X)[0])
    values, vectors = eigh_in_closed_form(X.to("meta"))
    assert values.shape == (4, n)
    assert vectors.shape == (4, n, n)
