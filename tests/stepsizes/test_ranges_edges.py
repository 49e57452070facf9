"""The ranges of all parameters of step sizes: what lies just outside is refused by name, the bounds that count are not."""

import math

import pytest

from manopt_torch import (
    AdaptiveWNGradient,
    ArmijoLinesearch,
    BarzilaiBorweinStepsize,
    CubicBracketingLinesearch,
    DistanceOverGradients,
    HagerZhangInitialGuess,
    HagerZhangLinesearch,
    NonmonotoneLinesearch,
    ParabolicLinesearch,
    ShortStepLinesearch,
    WolfeBinaryLinesearch,
    WolfeLinesearch,
)
from manopt_torch.errors import OptionsError
from tests.together import together

INF = math.inf
SEARCHES = (
    WolfeLinesearch,
    WolfeBinaryLinesearch,
    HagerZhangLinesearch,
    CubicBracketingLinesearch,
    NonmonotoneLinesearch,
    ArmijoLinesearch,
    ParabolicLinesearch,
)
BACKTRACKING = (NonmonotoneLinesearch, ArmijoLinesearch, ParabolicLinesearch, ShortStepLinesearch)
BRACKETING = (WolfeLinesearch, WolfeBinaryLinesearch, HagerZhangLinesearch, CubicBracketingLinesearch)
SPECTRAL = (NonmonotoneLinesearch, BarzilaiBorweinStepsize)

# who, which parameter, what is refused, what is not
RANGES = [
    ((*SEARCHES, BarzilaiBorweinStepsize), "initial_stepsize", (0.0, -1.0, INF, math.nan), (1e-300, 1e300)),
    ((*SEARCHES, BarzilaiBorweinStepsize), "max_stepsize", (0.0, -1.0), (1e-300, INF, None)),
    ((*SEARCHES, ShortStepLinesearch, BarzilaiBorweinStepsize), "cost_resolution", (-1e-300, INF), (0.0, 1e9)),
    (BACKTRACKING, "max_decreases", (0, 1.5), (1,)),
    (BRACKETING, "max_trials", (0, 1.5), (1,)),
    ((WolfeLinesearch, WolfeBinaryLinesearch, ArmijoLinesearch), "max_increases", (-1, 1.5), (0,)),
    ((WolfeLinesearch, WolfeBinaryLinesearch), "sufficient_decrease", (0.0, 1.0), (0.5,)),
    ((ArmijoLinesearch, NonmonotoneLinesearch), "sufficient_decrease", (0.0, 1.0), (0.5,)),
    ((HagerZhangLinesearch, ParabolicLinesearch), "sufficient_decrease", (0.0, 0.5), (0.49,)),
    ((BarzilaiBorweinStepsize,), "sufficient_decrease", (-1e-300, 1.0), (0.0, 0.99)),
    (BRACKETING, "sufficient_curvature", (0.0, 1.0), (0.5, 0.9999)),
    (SPECTRAL, "stepsize_reduction", (0.0, 1.0), (0.99,)),
    (SPECTRAL, "bb_min_stepsize", (0.0, INF), (1e-300,)),
    ((NonmonotoneLinesearch,), "bb_max_stepsize", (1e-3, INF), (1.1e-3,)),
    ((BarzilaiBorweinStepsize,), "bb_max_stepsize", (1e-30, INF), (1.1e-30,)),
    ((NonmonotoneLinesearch,), "memory_size", (0,), (1,)),
    ((ArmijoLinesearch, ShortStepLinesearch), "contraction_factor", (0.0, 1.0), (0.99,)),
    ((ShortStepLinesearch,), "curvature", (-1e-300, INF), (0.0, 1e300)),
    ((ShortStepLinesearch,), "decay", (0.0, 1.0000001), (1.0,)),
    ((ShortStepLinesearch,), "max_stepsize", (0.0, INF), (1e300,)),
    ((ParabolicLinesearch,), "growth_threshold", (1.0,), (1.0000001, INF)),
    ((HagerZhangLinesearch,), "tolerance", (-1e-300, 1.0), (0.0, 0.99)),
    ((HagerZhangLinesearch,), "expansion", (1.0, INF), (1.01,)),
    ((HagerZhangLinesearch,), "contraction", (0.0, 1.0), (0.99,)),
    ((CubicBracketingLinesearch,), "stepsize_increase", (1.0, INF), (1.01,)),
    ((CubicBracketingLinesearch,), "min_bracket_width", (-1e-300, INF), (0.0,)),
    ((HagerZhangInitialGuess,), "psi0", (0.0, 1.0), (0.99,)),
    ((HagerZhangInitialGuess,), "psi1", (0.0, 1.0), (0.99,)),
    ((HagerZhangInitialGuess,), "psi2", (1.0, INF), (1.01,)),
    ((HagerZhangInitialGuess,), "first", (0.0, INF), (1e-300, None)),
    ((AdaptiveWNGradient,), "gradient_reduction", (-1e-300, 1.0), (0.0, 0.99)),
    ((AdaptiveWNGradient,), "count_threshold", (0,), (1,)),
    ((AdaptiveWNGradient,), "minimal_bound", (0.0, INF), (1e-300,)),
    ((AdaptiveWNGradient,), "gradient_bound", (0.9e-4, INF), (1e-4, None)),
    ((DistanceOverGradients,), "initial_distance", (0.0, INF), (1e-300,)),
    ((DistanceOverGradients,), "sectional_curvature_bound", (1e-300, -INF), (0.0, -1e300)),
]


@together()
@pytest.mark.parametrize(
    ("kind", "name", "refused", "taken"),
    [(kind, *row) for kinds, *row in RANGES for kind in kinds],
)
def test_a_range_ends_where_it_says(kind, name, refused, taken):
    for value in refused:
        with pytest.raises(OptionsError, match=f"{kind.__name__}.*{name} must"):
            kind(**{name: value})
    for value in taken:
        assert getattr(kind(**{name: value}), name) == value
