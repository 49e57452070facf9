"""Lanes: Python numbers in a lone run and tensors in a batch do the same arithmetic; the host is asked in one place."""

import math
import random

import pytest
import torch

from manopt_torch import Circle, Euclidean, Product
from manopt_torch.functional import masked
from manopt_torch.functional.masked import Batch, Lone, any_active, count_active, host_read, lane_for
from tests.together import together

NUMBERS = [0.0, -0.0, 1.0, -2.5, 1e308, 1e-320, math.inf, -math.inf, math.nan]
PAIRS = [(a, b) for a in NUMBERS for b in NUMBERS]
LONE = Lone()
D = torch.float64


def same(number, tensor):
    """Equal in value and sign, or both NaN."""
    other = tensor.item()
    if math.isnan(number) or math.isnan(other):
        return math.isnan(number) and math.isnan(other)
    return number == other and math.copysign(1.0, number) == math.copysign(1.0, other)


def batch(n, dtype=D):
    return Batch((n,), torch.zeros(n, dtype=dtype))


def columns():
    return torch.tensor([a for a, _ in PAIRS], dtype=D), torch.tensor([b for _, b in PAIRS], dtype=D)


def test_division_is_that_of_ieee_754_in_both_lanes():
    quotients = batch(len(PAIRS)).div(*columns())
    assert all(same(LONE.div(a, b), q) for (a, b), q in zip(PAIRS, quotients, strict=True))


@pytest.mark.parametrize("name", ["min", "max"])
def test_minimum_and_maximum_keep_nan(name):
    results = getattr(batch(len(PAIRS)), name)(*columns())
    for (a, b), r in zip(PAIRS, results, strict=True):
        alone = getattr(LONE, name)(a, b)
        assert alone == r.item() or (math.isnan(alone) and math.isnan(r.item()))
        truth = math.nan if math.isnan(a) or math.isnan(b) else {"min": min, "max": max}[name](a, b)
        assert alone == truth or math.isnan(truth)


@pytest.mark.parametrize("name", ["min", "max"])
def test_minimum_and_maximum_take_numbers_on_either_side(name):
    lane, x = batch(2), torch.tensor([1.0, 5.0], dtype=D)
    wanted = {"min": [1.0, 3.0], "max": [3.0, 5.0]}[name]
    assert getattr(lane, name)(x, 3.0).tolist() == wanted
    assert getattr(lane, name)(3.0, x).tolist() == wanted


def test_division_of_numbers_and_tensors():
    lane, x = batch(2), torch.tensor([2.0, 4.0], dtype=D)
    assert lane.div(1.0, x).tolist() == [0.5, 0.25]
    assert lane.div(x, 2.0).tolist() == [1.0, 2.0]


def test_square_roots_agree_in_bits():
    generator = random.Random(0)
    values = [generator.uniform(0.0, 10.0) for _ in range(1000)] + [0.0, math.inf, math.nan, -1.0]
    roots = batch(len(values)).sqrt(torch.tensor(values, dtype=D))
    assert all(same(LONE.sqrt(v), r) for v, r in zip(values, roots, strict=True))


def test_finiteness_of_scalars():
    finite = [math.isfinite(a) for a in NUMBERS]
    values = torch.tensor(NUMBERS, dtype=D)
    assert batch(len(NUMBERS)).isfinite(values).tolist() == [LONE.isfinite(a) for a in NUMBERS] == finite
    assert batch(len(NUMBERS)).finite(values).tolist() == [LONE.finite(v) for v in values] == finite


def test_zeros_stand_for_what_is_not_finite():
    wanted = [a if math.isfinite(a) else 0.0 for a in NUMBERS]
    values = torch.tensor(NUMBERS, dtype=torch.float64)
    lane = batch(len(NUMBERS))
    assert lane.finite_or_zero(values).tolist() == [LONE.finite_or_zero(a) for a in NUMBERS] == wanted
    assert lane.finite_or_zero((values, values[:, None]))[1].tolist() == [[a] for a in wanted]


def test_costs_of_trials_that_are_not_finite_are_infinite():
    values = torch.tensor(NUMBERS, dtype=torch.float32)
    trial = batch(len(NUMBERS), torch.float32).trial_cost(values)
    wanted = [v if math.isfinite(v) else math.inf for v in values.tolist()]
    assert trial.dtype == D
    assert trial.tolist() == [LONE.trial_cost(v) for v in values] == wanted


def test_masks():
    lane, mask = batch(2), torch.tensor([True, False])
    assert lane.not_(mask).tolist() == [LONE.not_(True), LONE.not_(False)] == [False, True]
    assert LONE.any(True) and not LONE.any(False)
    assert lane.any(mask) and not lane.any(mask & False)
    assert lane.where(mask, 1.0, 2.0).tolist() == [LONE.where(True, 1.0, 2.0), LONE.where(False, 1.0, 2.0)]
    assert lane.where(mask, torch.tensor([1, 2]), torch.tensor([3, 4])).tolist() == [1, 4]


@pytest.mark.parametrize(("value", "dtype"), [(True, torch.bool), (3, torch.int64), (0.5, D)])
def test_full(value, dtype):
    filled = Batch((2, 3), torch.zeros(2, 3)).full(value)
    assert (filled.dtype, filled.shape) == (dtype, (2, 3))
    assert (filled == value).all()
    assert LONE.full(value) is value


def test_full_lays_out_tensors():
    lane = Batch((2, 3), torch.zeros(2, 3))
    assert lane.full(torch.tensor(2.0)).shape == (2, 3)
    assert lane.full(torch.arange(3.0)).tolist() == [[0.0, 1.0, 2.0]] * 2


def test_functors_answer_with_numbers_or_tensors():
    assert [LONE.answer(value) for value in (0.5, 2, torch.tensor(0.5))] == [0.5, 2, 0.5]
    assert [batch(2).answer(value).tolist() for value in (2.0, torch.ones(2))] == [[2.0, 2.0], [1.0, 1.0]]
    assert batch(2).answer(torch.ones(2, dtype=torch.float32)).dtype == batch(2).answer(2.0).dtype == D


def test_differences():
    u, v = (torch.tensor([3.0, 5.0]), torch.tensor(1.0)), (torch.tensor([1.0, 2.0]), torch.tensor(4.0))
    for lane in (LONE, batch(2)):
        assert lane.scaled_minus(2.0, u[0], v[0]).tolist() == (2.0 * u[0] - v[0]).tolist()
        differences = [(2.0 * a - b).tolist() for a, b in zip(u, v, strict=True)]
        assert [part.tolist() for part in lane.scaled_minus(2.0, u, v)] == differences


def test_scalars_have_double_precision_whatever_the_points():
    lane = batch(2, torch.float32)
    assert lane.scalar(torch.ones(2)).dtype == D
    assert lane.scalar(3.0) == 3.0
    assert LONE.scalar(torch.tensor(0.5)) == LONE.scalar(0.5) == 0.5


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_steps_agree_in_bits_with_lone_steps(shape, dtype):
    generator = torch.Generator().manual_seed(0)
    x, u = (torch.randn(*shape, 4, generator=generator, dtype=dtype) for _ in range(2))
    a, v = (torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2))
    s = torch.randn(shape, generator=generator, dtype=dtype).to(D)
    lane = Batch(shape, x)
    moved, scaled = lane.axpy((x, (a,)), s, (u, (v,))), lane.scale(s, (u, (v,)))
    assert moved[0].dtype == dtype
    for k in torch.cartesian_prod(*map(torch.arange, shape)).reshape(-1, len(shape)).tolist():
        k = tuple(k)
        alone = LONE.axpy((x[k], (a[k],)), s[k].item(), (u[k], (v[k],)))
        assert torch.equal(alone[0], moved[0][k]) and torch.equal(alone[1][0], moved[1][0][k])
        alone = LONE.scale(s[k].item(), (u[k], (v[k],)))
        assert torch.equal(alone[0], scaled[0][k]) and torch.equal(alone[1][0], scaled[1][0][k])


def test_pick_chooses_points_problem_by_problem():
    lane, mask = Batch((2,), torch.zeros(2)), torch.tensor([True, False])
    a, b = (torch.ones(2, 3, 3), torch.ones(2)), (torch.zeros(2, 3, 3), torch.zeros(2))
    matrix, number = lane.pick(mask, a, b)
    assert matrix.sum((-1, -2)).tolist() == [9.0, 0.0]
    assert number.tolist() == [1.0, 0.0]
    assert LONE.pick(True, a, b) is a


@pytest.mark.parametrize("leaf", [torch.tensor([[3.0, -4.0], [math.nan, 1.0], [-math.inf, 1.0]]), None])
def test_size_is_the_largest_entry_and_nan_where_there_is_one(leaf):
    if leaf is None:  # scalar points
        leaf = torch.tensor([-4.0, math.nan, -math.inf])
    points, lane = (torch.full((3,), 2.0), leaf), Batch((3,), leaf)
    size = lane.size(points)
    assert size[0] == 4.0 and size[1].isnan() and size[2] == math.inf
    assert lane.finite(points).tolist() == [True, False, False]
    for k in range(3):
        lone = tuple(part[k] for part in points)
        assert LONE.size(lone) == size[k] or (k == 1 and math.isnan(LONE.size(lone)))
        assert LONE.finite(lone) == (k == 0)


def test_sizes_do_not_overflow():
    x = torch.full((1, 3), 3e38)
    assert Batch((1,), x).finite(x).all() and LONE.finite(x[0])


@together()
@pytest.mark.parametrize(
    ("M", "x", "lone", "shape"),
    [
        (Euclidean(2), torch.zeros(2), True, ()),
        (Euclidean(2), torch.zeros(1, 2), False, (1,)),
        (Euclidean(2), torch.zeros(0, 2), False, (0,)),
        (Circle(), torch.zeros(()), True, ()),
        (Circle(), torch.zeros(2, 3), False, (2, 3)),
        (Product(Euclidean(2), Circle()), (torch.zeros(2), torch.zeros(())), True, ()),
        (Product(Euclidean(2), Circle()), (torch.zeros(3, 2), torch.zeros(3)), False, (3,)),
        (Euclidean(2), torch.zeros(2, device="meta"), False, ()),
    ],
)
def test_the_lane_of_a_start(M, x, lone, shape):
    lane = lane_for(M, x)
    assert (lane.lone, lane.shape) == (lone, shape)


def test_reads_are_counted_and_marked():
    before, mask = masked.reads(), torch.tensor([True, False, True])
    assert count_active(mask) == 2
    assert any_active(mask)
    assert masked.reads() == before + 2
    assert count_active(True) == 1 and not any_active(False)
    assert masked.reads() == before + 2  # Python bools are no reads
    assert count_active(torch.zeros(0, dtype=torch.bool)) == 0


def test_host_reads_nest():
    from manopt_torch._host import reading_allowed

    assert not reading_allowed()
    with host_read():
        with host_read():
            assert reading_allowed()
        assert reading_allowed()
    assert not reading_allowed()


def test_on_the_meta_device_loops_run_for_a_while_and_end():
    mask = torch.ones(3, dtype=torch.bool, device="meta")
    answers = [count_active(mask) for _ in range(9)]
    assert 0 in answers[:3] and answers[:3] == answers[3:6] == answers[6:]
    assert sum(n == 3 for n in answers) == 6
