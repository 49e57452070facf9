"""Device and dtype come from the inputs: torch's default device and default dtype change nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

import manopt_torch as mt
from manopt_torch import solve
from manopt_torch.manifolds.points import leaves
from manopt_torch.testing.problems import problem_named
from tests.contracts.solver_table import same_bits

D = torch.float64
SEEDED = ("CMAESOptions", "MeshAdaptiveDirectSearchOptions", "ParticleSwarmOptions")
SOLVERS = ("GradientDescentOptions", "QuasiNewtonOptions", "TrustRegionsOptions", "NelderMeadOptions", *SEEDED)
# of factors with a sign, a rank or a frame
MANIFOLDS = [mt.Stiefel(4, 2), mt.Rotations(3), mt.SpecialEuclidean(2), mt.FixedRank(4, 3, 2), mt.Spectrahedron(4, 2)]


@contextmanager
def default(kind: Any) -> Iterator[None]:
    """Set torch's default dtype, or its default device: on "meta" whatever forgets to name a device is found out."""
    dtype = torch.get_default_dtype()
    try:
        torch.set_default_device(kind) if isinstance(kind, str) else torch.set_default_dtype(kind)
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(dtype)


def run(name: str, dtype: torch.dtype) -> Any:
    x = torch.linspace(0.5, 2.0, 12, dtype=dtype, device="cpu").reshape(3, 4)
    w = torch.linspace(1.0, 9.0, 12, dtype=dtype, device="cpu").reshape(3, 4)
    p = mt.HessianProblem(mt.Euclidean(4), lambda x, w: (w * x * x + x.sin()).sum(-1), data=(w,))
    more = {"generator": torch.Generator().manual_seed(1)} if name in SEEDED else {}
    lists = {"debug": [":Cost", ":Change", 5, mt.DebugCost(print=str)], "record": [":Iteration", ":Cost", ":Change"]}
    return solve(p, getattr(mt, name)(x, stop=mt.StopAfterIteration(12), **more), **lists)


@pytest.mark.parametrize("kind", ["meta", D], ids=str)
def test_runs(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name in SOLVERS:
        for dtype in (torch.float32, D):
            plain = run(name, dtype)
            with default(kind):
                other = run(name, dtype)
                found = mt.record_to_dict(other)
            assert same_bits(other.x, plain.x), (name, dtype)
            for column, values in mt.record_to_dict(plain).items():
                assert same_bits(found[column], values), (name, column)
            assert mt.load_state_dict(run(name, dtype), mt.state_dict(other)) is not None


@pytest.mark.parametrize("kind", ["meta", D], ids=str)
def test_random_choices(kind: Any) -> None:
    def choices() -> list[Any]:
        x = torch.ones(3, 2, dtype=D, device="cpu")
        rows = torch.arange(30.0, dtype=D, device="cpu").reshape(3, 5, 2)
        p = mt.StochasticProblem(
            mt.Euclidean(2), lambda x, t: (x.unsqueeze(-2) - t).square().mean((-1, -2)), data=(rows,), batch_size=2
        )
        o = mt.StochasticGradientDescentOptions(x, direction=mt.NoiseRule(0.1), stop=mt.StopAfterIteration(5))
        case = problem_named("rosenbrock").pose(2, generator=torch.Generator().manual_seed(2))
        passed = mt.check_gradient(case.problem, case.x, generator=torch.Generator().manual_seed(3)).passed
        return [mt.RandomEvalOrder(3)(5, 1), passed, solve(p, o).x, case.x]

    plain = choices()
    with default(kind):
        other = choices()
    assert other[0] == plain[0] and other[1] is plain[1] is True
    assert same_bits(other[2], plain[2]) and same_bits(other[3], plain[3])


@pytest.mark.parametrize("M", MANIFOLDS, ids=repr)
def test_manifolds_keep_the_dtype_of_their_points(M: Any) -> None:
    def values() -> list[Any]:
        g = torch.Generator().manual_seed(4)
        x, y = (M.random_point(2, generator=g, dtype=torch.float32, device="cpu") for _ in range(2))
        u = M.random_tangent(x, generator=g)
        return [x, u, M.project_point(x), M.retract(x, u), M.off_manifold(x), *([M.log(x, y)] if M.has_log else [])]

    plain = values()
    for kind in ("meta", D):
        with default(kind):
            other = values()
        for a, b in zip(plain, other, strict=True):
            assert same_bits(a, b) and all(leaf.dtype is torch.float32 for leaf in leaves(b))
