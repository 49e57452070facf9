"""The package runs on torch and NumPy alone, and whatever needs more names the extra that brings it."""

import ast
import re
import sys
from pathlib import Path

import pytest
import torch

from manopt_torch import Euclidean, GradientDescentOptions, GradientProblem, Sphere, adapters, plotting, solve
from manopt_torch.training import ScalarLinesearch

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
EXTRAS = PYPROJECT.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
# extras for work on the package itself, and the one that stands for others
NOT_FOR_USERS = {"test", "docs", "lint", "bench", "site", "all"}
PARAMETER = torch.nn.Parameter(torch.ones(2))
SQUARES = GradientProblem(Euclidean(2), lambda x: x.square().sum(-1))

# extra: the modules it brings, and all that needs them
NEEDS = {
    "plot": (
        ["matplotlib", "matplotlib.figure"],
        {
            "plot_record": lambda: plotting.plot_record(None),
            "plot_phase_image": lambda: plotting.plot_phase_image(torch.zeros(2, 2)),
        },
    ),
    "pandas": (["pandas"], {"record_to_frame": lambda: plotting.record_to_frame(None)}),
    "progress": (
        ["tqdm", "tqdm.auto"],
        {"tqdm_bar": adapters.tqdm_bar, "use_tqdm": adapters.use_tqdm},
    ),
    "tensorboard": (["torch.utils.tensorboard"], {"a folder": lambda: adapters.DebugTensorBoard("runs")}),
    "geoopt": (
        ["geoopt"],
        {"from_geoopt": lambda: adapters.from_geoopt(None), "to_geoopt": lambda: adapters.to_geoopt(Sphere(3))},
    ),
    "pymanopt": (
        ["pymanopt", "pymanopt.manifolds"],
        {"from_pymanopt": lambda: adapters.from_pymanopt(None), "to_pymanopt": lambda: adapters.to_pymanopt(Sphere(3))},
    ),
    "scipy": (
        ["scipy", "scipy.optimize"],
        {
            "scipy_minimize": lambda: adapters.scipy_minimize(SQUARES, torch.ones(2)),
            "ScipyMinimize": lambda: adapters.ScipyMinimize([PARAMETER]).step(lambda: PARAMETER.sum()),
            "ScipyDE": lambda: adapters.ScipyDE([PARAMETER], [(-1, 1)]).step(lambda backward=True: PARAMETER.sum()),
            "ScalarLinesearch": lambda: solve(
                SQUARES, GradientDescentOptions(torch.ones(2), stepsize=ScalarLinesearch())
            ),
        },
    ),
    "lightning": (
        ["lightning.pytorch", "pytorch_lightning"],
        {"lightning_module": lambda: adapters.lightning_module(torch.nn.Linear(1, 1))},
    ),
    "nevergrad": (["nevergrad"], {"NevergradOptimizer": lambda: adapters.NevergradOptimizer([PARAMETER], "DE")}),
}


@pytest.mark.parametrize(
    ("extra", "call"),
    [(extra, call) for extra, (_, calls) in NEEDS.items() for call in calls.values()],
    ids=[name for _, calls in NEEDS.values() for name in calls],
)
def test_a_missing_package_names_its_extra(extra, call, monkeypatch):
    for module in NEEDS[extra][0]:
        monkeypatch.setitem(sys.modules, module, None)  # importing it raises ModuleNotFoundError
    _forget_what_was_made_with_it()
    with pytest.raises(ImportError, match=rf"pip install manopt_torch\[{extra}\]"):
        call()


def _forget_what_was_made_with_it():
    """Clear the caches of the adapters, which hold classes that another test has asked for."""
    for name, module in list(sys.modules.items()):
        if name.startswith("manopt_torch.adapters."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def test_each_extra_has_its_tests():
    assert set(re.findall(r"^(\w+) = \[", EXTRAS, re.MULTILINE)) - NOT_FOR_USERS == NEEDS.keys()


def test_importing_the_package_needs_torch_and_numpy_only():
    allowed = {*sys.stdlib_module_names, "torch", "numpy", "manopt_torch"}
    found = {}
    for path in (ROOT / "manopt_torch").rglob("*.py"):
        # what stands in a function is imported when it is called
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if foreign := {name.split(".")[0] for name in names} - allowed:
                found[path.name] = foreign
    assert found == {}
