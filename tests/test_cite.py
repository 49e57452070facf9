"""The literature of a run: the entries that the parts of a run name, each once, as they stand in the bibliography."""

import re
import sys
from pathlib import Path

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    CountedProblem,
    DebugOptions,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    OptionsError,
    Power,
    Product,
    Sphere,
    SymmetricPositiveDefinite,
    cite,
)
from manopt_torch.plans.options import Options

BIB = (Path(__file__).parents[1] / "docs" / "references.bib").read_text(encoding="utf-8")


def keys(text):
    return re.findall(r"^@\w+\{([^,]+),", text, re.MULTILINE)


def posed(M):
    return GradientProblem(M, lambda x: x), GradientDescentOptions(torch.zeros(3), stepsize=ArmijoLinesearch())


def test_solver_stepsize_and_manifold_are_named_once():
    found = keys(cite(*posed(Sphere(3))))
    assert found[0] == "AbsilMahonySepulchre:2008"
    assert "Armijo:1966" in found
    assert len(found) == len(set(found))


def test_entries_are_those_of_the_bibliography():
    text = cite(*posed(Sphere(3)))
    for entry in text.split("\n\n"):
        assert entry in BIB


def test_factors_of_a_manifold_count_too():
    alone = set(keys(cite(*posed(SymmetricPositiveDefinite(3)))))
    product = set(keys(cite(*posed(Product(Euclidean(2), Power(SymmetricPositiveDefinite(3), 2))))))
    assert alone <= product
    assert alone - set(keys(cite(*posed(Euclidean(2)))))


def test_decorators_and_counters_change_nothing():
    p, o = posed(Sphere(3))
    assert cite(CountedProblem(p), DebugOptions(o, [])) == cite(p, o)


def test_a_solver_of_ones_own_names_what_it_uses_if_it_is_in_the_bibliography():
    class Mine(Options):
        """See [Boumal:2023] and [Nobody:1900]."""

    p, _ = posed(Euclidean(3))
    assert keys(cite(p, Mine(torch.zeros(3))))[0] == "Boumal:2023"
    assert "Nobody:1900" not in cite(p, Mine(torch.zeros(3)))


@pytest.mark.parametrize("wrong", [(None, 1), (1, None)])
def test_other_arguments_are_refused(wrong):
    p, o = posed(Euclidean(3))
    with pytest.raises(OptionsError):
        cite(*(part if part else given for part, given in zip(wrong, (p, o), strict=True)))


def test_every_module_of_the_package_cites_what_is_in_the_bibliography():
    known = set(keys(BIB))
    for name, module in list(sys.modules.items()):
        if name.startswith("manopt_torch."):
            assert set(re.findall(r"\[([A-Z][A-Za-z]+:\d{4}[a-z]?)\]", module.__doc__ or "")) <= known, name
