"""What a row of the table of capabilities holds."""

from typing import NamedTuple

# the headings of the page, in its order
KINDS = {
    "smooth": "smooth costs",
    "least squares": "least squares, from the residuals",
    "many terms": "sums of very many terms, and costs that see noise",
    "nonsmooth": "costs with kinks",
    "constrained": "within a set",
    "without derivatives": "without derivatives",
}


class Capability(NamedTuple):
    """One row.

    Args:
        options: name of the Options class.
        front: name of the front function.
        kind: a key of `KINDS`.
        order: how fast it closes in on a minimum: "linear", "superlinear", "quadratic", ...
        manifold: what the manifold must provide besides a retraction, an inner product and conversions of gradients:
            names of its methods, or `ehess2rhess` for Hessians of autograd.
        purpose: what to use it for.
        stochastic: whether it draws random numbers or looks at a part of the cost only.
        page: its page under docs/solvers, without suffix; empty is the name of the front function.
    """

    options: str
    front: str
    kind: str
    order: str
    manifold: tuple[str, ...]
    purpose: str
    stochastic: bool = False
    page: str = ""
