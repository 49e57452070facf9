"""The floor for matrix completion: fixed-rank matrices with derivatives by hand.

A point is `(u, s, v)` with the singular values in a vector; a tangent vector packs its three parts in one tensor with
`m + n + rank` rows. The known entries are sampled from the dense product, which is small here. Products are written as
in the reference cases; a second floor has them in the ways that take least time.
"""

from typing import Any

import torch

Tensor = torch.Tensor


class BareFixedRank:
    """Matrices of fixed rank, with the retraction by singular values."""

    def __init__(self, m: int, n: int, rank: int, places: Tensor) -> None:
        self.m, self.n, self.rank, self.places = m, n, rank, places  # places: known entries, in flat order
        self.dim = (m + n - rank) * rank
        self.typical = float(self.dim)
        self.dense = torch.zeros(m, n, dtype=torch.float64)

    def parts(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return z[: self.m], z[self.m : self.m + self.n], z[self.m + self.n :]

    def inner(self, x: Any, u: Tensor, v: Tensor) -> Tensor:
        return torch.dot(u.reshape(-1), v.reshape(-1))

    def project(self, x: Any, z: Tensor) -> Tensor:
        (u, _, v), (a, c, d) = x, self.parts(z)
        return torch.cat((torch.addmm(a, u, u.mT @ a, alpha=-1), torch.addmm(c, v, v.mT @ c, alpha=-1), d))

    def retract(self, x: Any, z: Tensor) -> Any:
        (u, s, v), (a, c, d), k = x, self.parts(z), self.rank
        qu, ru = torch.linalg.qr(a)
        qv, rv = torch.linalg.qr(c)
        core = torch.zeros(2 * k, 2 * k, dtype=z.dtype)
        core[:k, :k] = d
        core.diagonal()[:k] += s
        core[:k, k:], core[k:, :k] = rv.mT, ru
        left, values, right = torch.linalg.svd(core)
        return torch.cat((u, qu), 1) @ left[:, :k], values[:k] + 2.2e-16, torch.cat((v, qv), 1) @ right[:k].mT

    def filled(self, values: Tensor) -> Tensor:
        self.dense.zero_().view(-1).index_copy_(0, self.places, values)
        return self.dense

    def known(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the known entries of a product."""
        return (left @ right).view(-1)[self.places]

    def change(self, x: Any, z: Tensor) -> Tensor:
        """Return the known entries of the matrix that a tangent vector stands for."""
        (u, _, v), (a, c, d) = x, self.parts(z)
        return ((u @ d + a) @ v.mT + u @ c.mT).view(-1)[self.places]

    def images(self, g: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return `g @ v` and `g.mT @ u`."""
        return g @ v, g.mT @ u

    def gradient(self, x: Any, values: Tensor) -> Tensor:
        """Project the matrix with these values at the known places."""
        u, _, v = x
        gv, gu = self.images(self.filled(values), v, u)
        core = u.mT @ gv
        return torch.cat((torch.addmm(gv, u, core, alpha=-1), torch.addmm(gu, v, core.mT, alpha=-1), core))

    def hessian(self, x: Any, values: Tensor, change: Tensor, z: Tensor) -> Tensor:
        (u, s, v), (a, c, _) = x, self.parts(z)
        image = self.gradient(x, change)
        left, right = (part / s for part in self.images(self.filled(values), c, a))
        image[: self.m] += torch.addmm(left, u, u.mT @ left, alpha=-1)
        image[self.m : self.m + self.n] += torch.addmm(right, v, v.mT @ right, alpha=-1)
        return image

    def transport(self, x: Any, y: Any, z: Tensor) -> Tensor:
        (u, _, v), (u1, _, v1), (a, c, d) = x, y, self.parts(z)
        p = u @ d + a
        wv = p @ (v.mT @ v1) + u @ (c.mT @ v1)
        wu = v @ (p.mT @ u1) + c @ (u.mT @ u1)
        core = u1.mT @ wv
        return torch.cat((torch.addmm(wv, u1, core, alpha=-1), torch.addmm(wu, v1, core.mT, alpha=-1), core))


def times(a: Tensor, b: Tensor) -> Tensor:
    """Return `a @ b` for a `b` of a few columns: transposed, MKL takes half the time or less."""
    return (b.mT @ a.mT).mT


class TunedFixedRank(BareFixedRank):
    """The same by other ways to sample and to multiply."""

    def known(self, left: Tensor, right: Tensor) -> Tensor:
        return (left @ right).view(-1).index_select(0, self.places)

    def change(self, x: Any, z: Tensor) -> Tensor:
        (u, _, v), (a, c, d) = x, self.parts(z)
        return self.known(torch.cat((u @ d + a, u), 1), torch.cat((v, c), 1).mT)

    def images(self, g: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        return times(g, v), times(g.mT, u)


def misfit(M: BareFixedRank, known: Tensor) -> tuple[Any, Any, Any]:
    """Return half the squared misfit of the known entries, its gradient and its Hessian, for `floor.Given`."""

    def cost(x: Any) -> tuple[Tensor, Tensor]:
        u, s, v = x
        rest = M.known(u * s, v.mT) - known
        return 0.5 * torch.dot(rest, rest), rest

    def gradient(x: Any, rest: Tensor) -> Tensor:
        return rest

    def hessian(x: Any, rest: Tensor, z: Tensor) -> Tensor:
        return M.change(x, z)

    return cost, gradient, hessian
