"""What every manifold keeps, whatever its formulas."""

import math
from typing import Any

import pytest
import torch

from manopt_torch.errors import NotOnManifoldError, OptionsError, ShapeError
from manopt_torch.manifolds import Manifold
from manopt_torch.manifolds.points import first_leaf, leaves, map_leaves, map_shaped, scale, to_vector
from manopt_torch.testing.check_manifold import check_manifold
from manopt_torch.testing.manifold_laws import LAWS
from tests.contracts.manifold_cases import (
    TORCH_WARNINGS,
    assert_close,
    calls,
    every_batch,
    every_dtype,
    every_manifold,
    generator,
    sample,
    with_log,
)
from tests.together import together

pytestmark = TORCH_WARNINGS


@together("dtype", "batch")
@every_manifold
@every_dtype
@every_batch
def test_all_laws_hold(M: Manifold, dtype: torch.dtype, batch: tuple[int, ...]) -> None:
    if (dtype, batch) == (torch.float64, (2,)):
        return  # what the checker looks at, see the next test
    with torch.no_grad():
        for law in LAWS:
            for finding in law(M, sample(M, *batch, dtype=dtype)):
                assert finding.value.max() <= M.tolerance(dtype), finding.law


@every_manifold
def test_the_checker_passes_it(M: Manifold) -> None:
    # orders of errors too, which are taken in float64 whatever the dtype
    report = check_manifold(M, batch=(2,), generator=generator())
    assert report.passed, str(report)


# ---- batches, dtypes, inputs ----------------------------------------------------------------------------------------


@together("dtype", "batch")
@every_manifold
@every_dtype
@every_batch
def test_results_keep_shape_and_dtype_and_leave_inputs_alone(
    M: Manifold, dtype: torch.dtype, batch: tuple[int, ...]
) -> None:
    s = sample(M, *batch, dtype=dtype)
    scalars = {"inner", "norm", "dist", "squared_dist", "log_defined", "off_manifold", "off_tangent"}
    for name, arguments in calls(M, s, derived=True).items():
        before = [leaf.clone() for leaf in leaves(arguments)]
        versions = [leaf._version for leaf in leaves(arguments)]
        result = getattr(M, name)(*arguments)
        assert all(torch.equal(a, b) for a, b in zip(leaves(arguments), before, strict=True)), name
        assert [leaf._version for leaf in leaves(arguments)] == versions, name
        real = name in scalars or name == "to_coordinates"
        kinds = (dtype, torch.bool) if real else (dtype, dtype.to_complex())
        assert all(leaf.dtype in kinds for leaf in leaves(result)), name
        if name in scalars:
            assert result.shape == batch, name
        elif name == "to_coordinates":
            assert result.shape == (*batch, M.dim)
        else:
            assert M.batch_shape(result) == ((*batch, M.dim) if name == "basis" else batch), name


@every_manifold
def test_arguments_broadcast(M: Manifold) -> None:
    s, lone = sample(M, 4), sample(M)
    expanded = map_leaves(lambda a: a.expand(4, *a.shape), lone.x)
    pairs = {"inner": (s.u, s.v), "egrad2rgrad": (s.z,), "ehess2rhess": (s.z, s.w, s.u), "retract": (s.u,)}
    pairs |= {"log": (s.y,), "dist": (s.y,)} if M.has_log else {}
    pairs |= {"exp": (s.u, 0.02)} if M.has_exp else {}  # short, as these vectors are of unit length elsewhere
    for name, rest in pairs.items():
        assert_close(getattr(M, name)(lone.x, *rest), getattr(M, name)(expanded, *rest), 1e-12)


@every_manifold
def test_float_and_tensor_steps_give_the_same_bits(M: Manifold) -> None:
    for batch, dtype in [((), torch.float64), ((3,), torch.float64), ((3,), torch.float32)]:
        s, t = sample(M, *batch, dtype=dtype), 0.1234567890123
        step = torch.full(batch, t, dtype=torch.float64)  # wider than a float32 point: the point decides
        for move in (M.exp, M.retract) if M.has_exp else (M.retract,):
            for a, b in zip(leaves(move(s.x, s.u, t)), leaves(move(s.x, s.u, step)), strict=True):
                assert torch.equal(a, b)
                assert a.dtype.to_real() == dtype


@every_manifold
def test_generators_reproduce(M: Manifold) -> None:
    first, second = (M.random_point(3, generator=generator(7)) for _ in range(2))
    u, v = (M.random_tangent(first, generator=generator(8)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(leaves((first, u)), leaves((second, v)), strict=True))


@every_manifold
def test_coordinates_refer_to_an_orthonormal_basis_of_independent_size(M: Manifold) -> None:
    s = sample(M)
    assert torch.linalg.matrix_rank(to_vector(M.basis(s.x), M.point_shape)) == M.dim


# ---- derivatives ----------------------------------------------------------------------------------------------------


def stacked(trees: list[Any]) -> Any:
    return map_leaves(lambda *parts: torch.stack(parts), *trees)


def nearby_pairs(M: Manifold, dtype: torch.dtype) -> dict[str, tuple[Any, Any]]:
    """List pairs of points at which naive formulas divide by zero."""
    s = sample(M, 2, dtype=dtype)
    eps = torch.finfo(dtype).eps
    pairs = {"equal": (s.x, s.x)}
    pairs |= {f"{t:.0e} apart": (s.x, M.exp(s.x, s.u, t)) for t in (eps, eps**0.5, 0.01, 0.1, 0.3)}
    if 0 < (radius := M.injectivity_radius()) < math.inf:
        steps = (0.0, eps, eps**0.5, 1e-2)
        pairs |= {f"cut locus - {t:.0e}": (s.x, M.exp(s.x, s.u, radius * (1 - t))) for t in steps}
        pairs["antipode"] = s.x, M.project_point(map_leaves(torch.neg, s.x))
    return pairs


def within_reach(M: Manifold, x: Any, t: float) -> torch.Tensor:
    """Return the step `t`, or less where geodesics of unit speed end before."""
    radius = torch.as_tensor(0.9 * M.injectivity_radius(x), dtype=first_leaf(x).real.dtype)
    step = torch.full(M.batch_shape(x), t, dtype=radius.dtype)
    return step if M.injectivity_radius() > 0 else torch.minimum(step, radius)


@together("dtype")
@with_log
@every_dtype
def test_derivatives_are_finite_everywhere(M: Manifold, dtype: torch.dtype) -> None:
    s = sample(M, 2, dtype=dtype)
    pairs = nearby_pairs(M, dtype)
    x, y, u = (stacked(column) for column in zip(*((x, y, s.u) for x, y in pairs.values()), strict=True))
    assert_finite_with_gradient(M, ("squared_dist", "dist", "log", "mid_point"), (x, y), list(pairs))
    if M.has_parallel_transport:
        assert_finite_with_gradient(M, ("parallel_transport",), (x, y, u), list(pairs))
    lengths = (0.0, torch.finfo(dtype).tiny, 1e-20, 1e-4, 0.1, 1.0, 3.0)
    x, u = stacked([s.x] * len(lengths)), stacked([s.u] * len(lengths))
    whole = torch.tensor(lengths, dtype=dtype.to_real())[:, None].expand(-1, 2)
    short = torch.stack([within_reach(M, s.x, t) for t in lengths])
    for names, step in ((("exp",), short), (("retract", "norm"), whole)):
        v = map_shaped(lambda ndim, a, step=step: scale(a, step, ndim), M.point_shape, u)
        assert_finite_with_gradient(M, names, (x, v), [f"length {t}" for t in lengths])


def assert_finite_with_gradient(M: Manifold, names: tuple[str, ...], arguments: tuple, cases: list[str]) -> None:
    """Look at all cases at once: they are problems of one batch, along its first axis."""
    for name in names:
        inputs = map_leaves(lambda a: a.clone().requires_grad_(), arguments)
        result = leaves(getattr(M, name)(*inputs))
        assert not not_finite(result, cases), name
        total = sum((torch.view_as_real(leaf) if leaf.is_complex() else leaf).sin().sum() for leaf in result)
        gradients = torch.autograd.grad(total, leaves(inputs), allow_unused=True)
        assert not not_finite([g for g in gradients if g is not None], cases), f"gradient of {name}"


def not_finite(tensors: list[torch.Tensor], cases: list[str]) -> list[str]:
    finite = [torch.isfinite(tensor).reshape(len(cases), -1).all(1) for tensor in tensors]
    return [case for case, fine in zip(cases, torch.stack(finite).all(0).tolist(), strict=True) if not fine]


@together("dtype")
@with_log
@every_dtype
def test_squared_distance_has_twice_the_metric_as_hessian(M: Manifold, dtype: torch.dtype) -> None:
    x = sample(M, dtype=dtype).x

    def along(c: torch.Tensor) -> torch.Tensor:
        return M.squared_dist(x, M.exp(x, M.from_coordinates(x, c)))

    hessian = torch.func.hessian(along)(torch.zeros(M.dim, dtype=dtype))
    assert_close(hessian, 2 * torch.eye(M.dim, dtype=dtype), M.tolerance(dtype))


@with_log
def test_derivatives_are_those_of_finite_differences(M: Manifold) -> None:
    s = sample(M)
    c, d = (M.to_coordinates(s.x, v).requires_grad_() for v in (s.u, s.v))

    def point(c: torch.Tensor) -> Any:
        return M.exp(s.x, M.from_coordinates(s.x, c), within_reach(M, s.x, 0.7))

    def squared(c: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return M.squared_dist(point(c), point(d))

    def logarithm(c: torch.Tensor, d: torch.Tensor) -> tuple:
        return tuple(leaves(M.log(point(c), point(d))))

    # along random directions, which miss an error with probability zero
    assert torch.autograd.gradcheck(logarithm, (c, d), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(squared, (c, d), fast_mode=True)


# ---- errors ---------------------------------------------------------------------------------------------------------


@every_manifold
def test_a_wrong_shape_is_named(M: Manifold) -> None:
    x = sample(M, 2).x
    too_long = map_leaves(lambda a: torch.cat([a, a], dim=-1)[..., None], x)
    if M.point_shape != ():  # any tensor is a batch of angles or numbers
        with pytest.raises(ShapeError, match=r"has shape \(\*batch"):
            M.check_point(too_long)
    parts = "tensors" if isinstance(x, tuple) else "tensor"
    with pytest.raises(ShapeError, match=f"{len(leaves(x))} {parts}, got {2 * len(leaves(x))}"):
        M.check_point((*leaves(x), *leaves(x)))


@every_manifold
def test_points_and_tangents_off_the_manifold_are_named_with_their_index(M: Manifold) -> None:
    s = sample(M, 2)
    broken = map_leaves(lambda a: torch.stack([a[0], torch.full_like(a[1], math.nan)]), s.x)
    with pytest.raises(NotOnManifoldError, match=r"point at batch indices \[\(1,\)\] is off"):
        M.check_point(broken)
    with pytest.raises(NotOnManifoldError, match="tangent vector at batch indices"):
        M.check_tangent(s.x, broken)


@every_manifold
def test_an_unknown_retraction_is_named_with_those_there_are(M: Manifold) -> None:
    s = sample(M)
    with pytest.raises(OptionsError, match=rf"has no retraction 'guess'; it has .*'{next(iter(M.retractions))}'"):
        M.retract(s.x, s.u, method="guess")
    if M.inverse_retractions:
        message = rf" 'guess'; it has .*'{next(iter(M.inverse_retractions))}'"
    else:
        message = r": use (M.project_tangent\(x, y - x\) next to x|its logarithm, M.log\(x, y\))"
    for method in ("guess",) if M.inverse_retractions else ("guess", None):
        with pytest.raises(OptionsError, match="has no inverse retraction" + message):
            M.inverse_retract(s.x, s.x, method=method)
