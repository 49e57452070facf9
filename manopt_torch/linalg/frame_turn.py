"""The rotation of the whole space, by the least angles, that turns one orthonormal frame into another."""

import torch

from manopt_torch.linalg.orthogonal import from_complement, svd_or_nan
from manopt_torch.linalg.special_orthogonal import rotation_log
from manopt_torch.linalg.unitary import unitary_log


def turning_direction(
    target: torch.Tensor,  # shape: (*batch, q, p), p < q
) -> torch.Tensor:
    r"""Return the velocity at $E = [I; 0]$ of the turn that takes this frame to $E$ + `target`.

    The columns that complete the end to a rotation $R$ are those nearest to the last columns of the identity; the
    velocity is $\log(R) E$. With the canonical metric its geodesic ends near the frame wanted, and it is the logarithm
    if nothing but $p$ planes turn, also by $\pi$, where the straight way to the end is orthogonal to all geodesics.

    Examples:
        >>> turning_direction(torch.tensor([[-2.0], [0.0]])).abs().T  # to the antipode
        tensor([[0.0000, 3.1416]])
    """
    q, p = target.shape[-2:]
    eye = torch.eye(q, dtype=target.dtype, device=target.device)
    end = target + eye[:, :p]
    rest = from_complement(end, eye[p:, p:].expand(*target.shape[:-2], q - p, q - p))
    U, _, Vh = svd_or_nan(rest[..., p:, :])
    rest = rest @ Vh.mH
    if target.is_complex():
        return 1j * unitary_log(torch.cat([end, rest @ U.mH], -1) - eye)[..., :p]
    # a real completion that mirrors has its least aligned column reversed
    sign = torch.where(torch.linalg.det(torch.cat([end, rest @ U.mH], -1)) < 0, -1.0, 1.0).to(rest.dtype)
    rest = torch.cat([rest[..., :-1], rest[..., -1:] * sign[..., None, None]], -1)
    return rotation_log(torch.cat([end, rest @ U.mH], -1) - eye)[..., :p]
