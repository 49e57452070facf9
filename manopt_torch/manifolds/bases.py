"""Bases of tangent spaces and coordinates in them, for manifolds that have no closed form of their own."""

from typing import TYPE_CHECKING, Any

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan
from manopt_torch.linalg.spectral import sym_eigh
from manopt_torch.manifolds.points import first_leaf, from_vector, map_shaped, new_axis, to_vector

if TYPE_CHECKING:
    from manopt_torch.manifolds.base import Manifold


def coordinate_basis(M: "Manifold", x: Any) -> Any:
    """Return the tangent vectors whose coordinates are the unit vectors, shape `(*batch, dim, *point_shape)`.

    This is `basis` for a manifold that writes `from_coordinates` itself.
    """
    return M.from_coordinates(new_axis(x, M.point_shape), _units(M, x, M.dim))


def projected_basis(M: "Manifold", x: Any) -> Any:
    """Return an orthonormal basis of the image of `project_tangent`, shape `(*batch, dim, *point_shape)`.

    The projector P need not be symmetric in the ambient coordinates, but P P' is, and its eigenvectors to nonzero
    eigenvalues span the tangent space; a Cholesky factor of their Gram matrix makes them orthonormal in the metric.
    The basis jumps where eigenvectors do: do not differentiate through it.
    """
    units = from_vector(_units(M, x, to_vector(x, M.point_shape).shape[-1]), x, M.point_shape)
    rows = to_vector(M.project_tangent(new_axis(x, M.point_shape), units), M.point_shape)
    # with an axis more: lone matrices and batches are solved by different algorithms, but bases should agree
    _, vectors = sym_eigh((rows.mT @ rows)[None])
    span = vectors[0, ..., -M.dim :].mT  # eigenvalues ascend: the last `dim` are the nonzero ones
    gram = gram_matrix(M, x, from_vector(span, x, M.point_shape))
    factor = cholesky_or_nan(gram)
    return from_vector(torch.linalg.solve_triangular(factor, span, upper=False), x, M.point_shape)


def coordinates_in(
    M: "Manifold",
    x: Any,
    u: Any,
    basis: Any,  # shape: (*batch, dim, *point_shape)
) -> torch.Tensor:
    """Return the coordinates of `u` in an orthonormal basis, shape `(*batch, dim)`."""
    return M.inner(new_axis(x, M.point_shape), basis, new_axis(u, M.point_shape))


def combine(
    M: "Manifold",
    basis: Any,  # shape: (*batch, dim, *point_shape)
    c: torch.Tensor,  # shape: (*batch, dim)
) -> Any:
    """Return the linear combination of basis vectors with coefficients `c`."""
    return map_shaped(lambda ndim, b: (b * c[(..., *(None,) * ndim)]).sum(-1 - ndim), M.point_shape, basis)


def gram_matrix(
    M: "Manifold",
    x: Any,
    vectors: Any,  # shape: (*batch, k, *point_shape)
) -> torch.Tensor:
    """Return all inner products of `k` tangent vectors at `x`, shape `(*batch, k, k)`."""
    columns = map_shaped(lambda ndim, leaf: leaf.unsqueeze(-1 - ndim), M.point_shape, vectors)
    rows = map_shaped(lambda ndim, leaf: leaf.unsqueeze(-2 - ndim), M.point_shape, vectors)
    return M.inner(new_axis(new_axis(x, M.point_shape), M.point_shape), columns, rows)


def _units(M: "Manifold", x: Any, n: int) -> torch.Tensor:
    ref = first_leaf(x)
    return torch.eye(n, dtype=ref.real.dtype, device=ref.device).expand(*M.batch_shape(x), n, n)
