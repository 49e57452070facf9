"""Every manifold under the transforms of torch: vmap, compile, other devices, and no hidden wait for a device."""

from typing import Any

import torch

from manopt_torch.manifolds import Manifold
from manopt_torch.manifolds.points import leaves, map_leaves
from tests.contracts.manifold_cases import (
    TORCH_WARNINGS,
    assert_close,
    calls,
    every_manifold,
    inherits,
    one_of_a_kind,
    sample,
)
from tests.contracts.watch import Watch

pytestmark = TORCH_WARNINGS


@every_manifold
def test_vmap_of_each_method_is_the_batched_call(M: Manifold) -> None:
    s = sample(M, 3)
    for name, arguments in calls(M, s).items():
        method = getattr(M, name)
        assert_close(torch.func.vmap(method)(*arguments), method(*arguments), 1e-12)


@one_of_a_kind
def test_methods_compile_as_one_graph(M: Manifold, few_rounds: None, quick_compiler: None) -> None:
    s = sample(M, 3)
    length = [getattr(M, name) for name in ("dist", "squared_dist") if M.has_log and not inherits(M, name)]
    step = [M.exp] if M.has_exp and next(iter(M.retractions.values())) != "exp" else []

    def several(x: Any, y: Any, u: Any, t: torch.Tensor) -> tuple:
        far = (M.log(x, y), *[method(x, y) for method in length[:1]]) if M.has_log else ()
        return (*far, *[method(x, u, t) for method in step], M.retract(x, u, t), M.egrad2rgrad(x, u))

    arguments = (s.x, s.y, s.u, torch.full((3,), 0.3, dtype=torch.float64))
    torch._dynamo.reset()
    compiled = torch.compile(several, fullgraph=True, backend="eager")
    assert_close(compiled(*arguments), several(*arguments), 1e-14)


@every_manifold
def test_no_method_reads_values_on_the_host(M: Manifold) -> None:
    s = sample(M, 2)
    for name, arguments in calls(M, s).items():
        with Watch() as watch:
            getattr(M, name)(*arguments)
        assert not watch.host_reads, name
    with Watch() as watch:
        M.random_tangent(M.random_point(2))
        M.check_point(s.x)
        M.check_tangent(s.x, s.u)
    assert not watch.host_reads


@every_manifold
def test_large_batches_run_the_same_kernels_as_small_ones(M: Manifold, few_rounds: None) -> None:
    small, large = sample(M, 2), sample(M, 200)
    for name in calls(M, small):
        with Watch() as few:
            getattr(M, name)(*calls(M, small)[name])
        with Watch() as many:
            getattr(M, name)(*calls(M, large)[name])
        assert few.kernels == many.kernels, name


@every_manifold
def test_runs_on_the_meta_device(M: Manifold, few_rounds: None) -> None:
    s = map_leaves(lambda a: a.to("meta"), tuple(calls(M, sample(M, 2)).values()))
    for name, arguments in zip(calls(M, sample(M, 2)), s, strict=True):
        assert all(leaf.is_meta for leaf in leaves(getattr(M, name)(*arguments))), name
    x = M.random_point(2, device="meta")
    M.check_point(x)
    M.check_tangent(x, M.random_tangent(x))
