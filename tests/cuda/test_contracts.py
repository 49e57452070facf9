"""Every contract once more, on CUDA: the same tests with the same tables.

Hidden reads need no tests of their own here: each of these tests would fail at one.
"""

from types import FunctionType
from typing import Any

import pytest
import torch

from tests.cuda.where import DEVICE, PRETEND, THERE_IS_ONE

if not THERE_IS_ONE:
    pytest.skip("there is no CUDA here", allow_module_level=True)

from manopt_torch.manifolds import Manifold
from manopt_torch.testing.manifold_sample import draw
from tests.contracts import (
    test_constrained,
    test_gradient_free,
    test_manifold_contract,
    test_manifold_rows,
    test_solver_batch,
    test_solver_contract,
    test_solver_nonfinite,
    test_solver_resume,
)
from tests.contracts.manifold_cases import TORCH_WARNINGS

pytestmark = TORCH_WARNINGS
MODULES = [
    test_constrained,
    test_gradient_free,
    test_manifold_contract,
    test_manifold_rows,
    test_solver_batch,
    test_solver_contract,
    test_solver_nonfinite,
    test_solver_resume,
]
# what the pretended device is not up to: transforms of torch, questions for addresses, and speed
NOT_PRETENDED = {
    "test_a_clock_starts_again",
    "test_squared_distance_has_twice_the_metric_as_hessian",
    "test_derivatives_are_those_of_finite_differences",
    "test_start_and_data_stay_untouched",
}

# two contracts may have a test of the same name
globals().update(
    (f"{module.__name__.rpartition('.')[2]}: {name[5:]}", found)
    for module in MODULES
    for name, found in vars(module).items()
    if name.startswith("test_") and isinstance(found, FunctionType) and not (PRETEND and name in NOT_PRETENDED)
)


def sample(M: Manifold, *batch: int, dtype: torch.dtype = torch.float64) -> Any:
    generator = torch.Generator("cpu" if PRETEND else DEVICE).manual_seed(0)
    return draw(M, batch, dtype, generator, DEVICE)


@pytest.fixture(autouse=True)
def samples_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        if hasattr(module, "sample"):
            monkeypatch.setattr(module, "sample", sample)
    if PRETEND:  # files know nothing of pretended tensors
        monkeypatch.setattr(test_solver_resume, "through_a_file", lambda state: state)
