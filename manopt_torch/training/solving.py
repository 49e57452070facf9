"""How the damped linear system of a step is solved."""

import torch

from manopt_torch.errors import OptionsError


def _qr(matrix: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    # reflectors are applied one by one: the orthogonal factor itself costs as much as the factorisation
    reflectors, scales = torch.geqrf(matrix)
    # and the triangle is all that is read of their array
    turned = torch.ormqr(reflectors, scales, rhs.unsqueeze(-1), transpose=True)
    return torch.linalg.solve_triangular(reflectors, turned, upper=True).squeeze(-1)


def _cholesky(matrix: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    factor, info = torch.linalg.cholesky_ex(matrix)
    x = torch.cholesky_solve(rhs.unsqueeze(-1), factor).squeeze(-1)
    return torch.where(info == 0, x, torch.nan)


def _solve(matrix: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    x, info = torch.linalg.solve_ex(matrix, rhs)
    return torch.where(info == 0, x, torch.nan)


def _lstsq(matrix: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    return torch.linalg.lstsq(matrix, rhs.unsqueeze(-1)).solution.squeeze(-1)


def _svd(matrix: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    least = s[0] * (torch.finfo(s.dtype).eps * len(s))
    return vh.mT @ torch.where(s > least, (u.mT @ rhs) / s, 0.0)


_METHODS = {"qr": _qr, "cholesky": _cholesky, "solve": _solve, "lstsq": _lstsq, "svd": _svd}


def checked_method(name: str) -> str:
    """Return the name of a method; raise an OptionsError if there is none of that name."""
    if name not in _METHODS:
        raise OptionsError(f"solve_method must be one of {tuple(_METHODS)}, got {name!r}")
    return name


def solved(
    method: str,
    matrix: torch.Tensor,  # shape: (n, n), symmetric
    rhs: torch.Tensor,  # shape: (n,)
) -> torch.Tensor:
    """Return the solution, shape `(n,)`; NaN where the method finds none."""
    try:
        return _METHODS[method](matrix, rhs)
    except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
        return torch.full_like(rhs, torch.nan)
