"""Cases looped over within a test: all of them run, and the failure names those that failed."""

import re

import pytest

from tests.together import together

SEEN = []


@together()
@pytest.mark.parametrize(("a", "b"), [(1, 2), pytest.param(3, 4)])
@pytest.mark.parametrize("name", ["x", "y"])
def all_of_them(a, b, name):
    SEEN.append((a, b, name))
    if name == "y":
        assert a == 1, "too large"
    if (a, name) == (3, "x"):
        with pytest.raises(ValueError):
            pass


@together("b")
@pytest.mark.parametrize("b", [1, 2], ids=["one", "two"])
@pytest.mark.parametrize("a", [5, 6])
def test_the_others_stay_parameters(a, b, capsys):
    assert a in (5, 6) and b in (1, 2)
    print(a)
    assert capsys.readouterr().out == f"{a}\n"


def test_all_cases_run_and_those_that_failed_are_named():
    with pytest.raises(AssertionError) as raised:
        all_of_them()
    assert SEEN == [(1, 2, "x"), (3, 4, "x"), (1, 2, "y"), (3, 4, "y")]
    first, *lines = str(raised.value).split("\n")
    assert first == "2 of 4 cases failed"
    told = [line for line in lines if line.startswith("[")]
    assert re.match(r"\[name='x', a=3, b=4\] test_together.py:\d+: Failed: DID NOT RAISE", told[0])
    assert re.match(r"\[name='y', a=3, b=4\] test_together.py:\d+: AssertionError: too large", told[1])
    assert test_the_others_stay_parameters.pytestmark[0].args[0] == "a"


def test_names_that_are_no_parameters_are_refused():
    with pytest.raises(AssertionError, match="no parameters"):
        together("c")(all_of_them)
