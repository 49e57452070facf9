"""Divided differences of trigonometric functions, against arbitrary precision."""

import mpmath
import pytest
import torch

from manopt_torch.linalg.divided_differences import first_difference, second_difference
from tests.together import together

EXACT = {
    "cos": mpmath.cos,
    "sin": mpmath.sin,
    "atan": mpmath.atan,
    "cos_sqrt": lambda s: mpmath.cos(mpmath.sqrt(s)),
    "sinc_sqrt": lambda s: mpmath.sinc(mpmath.sqrt(s)),
    "angle_over_sine": lambda c: mpmath.acos(c) / mpmath.sqrt(1 - c * c) if c != 1 else mpmath.mpf(1),
}
# where the arguments begin: on both sides of each switch between a series and a closed form
STARTS = {
    "cos": [0.0, 2.0, 50.0],
    "sin": [0.0, 2.0, 50.0],
    "atan": [-0.9, 0.0, 0.5],
    "cos_sqrt": [0.0, 1.0, 3.999, 4.5, 90.0],
    "sinc_sqrt": [0.0, 1.0, 3.999, 4.5, 90.0],
    "angle_over_sine": [0.0, 0.5, 0.999],
}
GAPS = [0.0, 1e-14, 1e-9, 1e-5, 7e-4, 8e-4, 1e-2, 0.035, 0.04, 0.3, 1.0, 15.0]
# largest value up to which arguments are meant
ENDS = {"atan": 1.0, "angle_over_sine": 1.0}


@pytest.mark.parametrize(("name", "start"), [(name, start) for name in STARTS for start in STARTS[name]])
def test_differences_have_no_cancellation(name: str, start: float) -> None:
    for gap in GAPS:
        if start + gap > ENDS.get(name, 1e3):
            continue
        x = torch.tensor([start, start + 0.3 * gap, start + gap], dtype=torch.float64)
        first, second = first_difference(name, x), second_difference(name, x)
        wanted_first, wanted_second = exact(name, x.tolist())
        # the size of derivatives there, which may be small at single points
        size = 0.3 if start < 10 or name in ("cos", "sin") else 1e-3
        assert first[0, 2].item() == pytest.approx(wanted_first, rel=1e-13, abs=1e-13 * size)
        assert second[2, 0, 1].item() == pytest.approx(wanted_second, rel=1e-11, abs=1e-11 * size)
        assert first[0, 2] == first[2, 0]
        assert second[2, 0, 1] == second[0, 1, 2] == second[1, 2, 0]


def exact(name: str, arguments: list[float]) -> tuple[float, float]:
    f = EXACT[name]
    with mpmath.workdps(60):
        a, b, c = map(mpmath.mpf, arguments)
        if a == c:
            first, second = mpmath.diff(f, a), mpmath.diff(f, a, 2) / 2
        elif a == b:
            first = (f(c) - f(a)) / (c - a)
            second = (first - mpmath.diff(f, a)) / (c - a)
        else:
            first = (f(c) - f(a)) / (c - a)
            second = ((f(c) - f(b)) / (c - b) - (f(b) - f(a)) / (b - a)) / (c - a)
        return float(mpmath.re(first)), float(mpmath.re(second))


@together()
@pytest.mark.parametrize("name", EXACT)
def test_single_precision_keeps_its_digits(name: str) -> None:
    x = torch.linspace(0.0, 1.0, 7)
    for difference in (first_difference, second_difference):
        torch.testing.assert_close(difference(name, x).double(), difference(name, x.double()), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["cos_sqrt", "sinc_sqrt"])
def test_squares_that_rounding_made_negative_count_as_zero(name: str) -> None:
    below, at = torch.tensor([-1e-17, 0.5], dtype=torch.float64), torch.tensor([0.0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(first_difference(name, below), first_difference(name, at))
    torch.testing.assert_close(second_difference(name, below), second_difference(name, at))
