"""Many small cases in one test: pytest's own work for a test costs more than most of them."""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet


def together(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn the parametrisations below this decorator into a loop within the test, or only those of the names given.

    All cases run, whatever becomes of the others, and the failure names each of those that failed: its parameters, what
    was wrong, and in which line. Parameters of the same name in other tests are left alone. What fixtures set up is
    shared by the cases, so that a test that patches something is to undo it by itself. For cases that take a few
    milliseconds, and that nobody wants to choose by `-k`.

    Args:
        names: parameters to loop over; none means all.
    """

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        marks = list(getattr(test, "pytestmark", []))
        looped = [m for m in marks if m.name == "parametrize" and (not names or _names_of(m)[0] in names)]
        assert looped, f"{test.__name__} has no parameters {names}: put this decorator above those of parametrize"
        inside = {name for mark in looped for name in _names_of(mark)}
        signature = inspect.signature(test)
        cases = list(_cases(looped))

        @functools.wraps(test)
        def all_cases(**given: Any) -> None:
            failed: list[tuple[str, BaseException]] = []
            for label, values in cases:
                try:
                    test(**given, **values)
                except (Exception, pytest.fail.Exception) as error:
                    failed.append((label, error))
            if failed:
                lines = [f"[{label}] {_place(error)}: {type(error).__name__}: {error}" for label, error in failed]
                told = "\n".join([f"{len(failed)} of {len(cases)} cases failed", *lines])
                raise AssertionError(told) from failed[0][1]

        all_cases.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[p for name, p in signature.parameters.items() if name not in inside]
        )
        all_cases.pytestmark = [m for m in marks if m not in looped]  # type: ignore[attr-defined]
        return all_cases

    return decorate


def _names_of(mark: pytest.Mark) -> list[str]:
    names = mark.args[0]
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)


def _cases(marks: list[pytest.Mark]) -> Iterator[tuple[str, dict[str, Any]]]:
    """List what the parametrisations list, each case with a label."""
    axes = []
    for mark in marks:
        names, ids = _names_of(mark), mark.kwargs.get("ids")
        rows = []
        for i, row in enumerate(mark.args[1]):
            values = (row,) if len(names) == 1 else tuple(row)
            if isinstance(row, ParameterSet):
                assert not row.marks, "a case with marks of its own is to be a test of its own"
                values = tuple(row.values)
            rows.append((_label(names, values, ids, i), dict(zip(names, values, strict=True))))
        axes.append(rows)
    for case in itertools.product(*axes):
        yield ", ".join(label for label, _ in case), {n: v for _, values in case for n, v in values.items()}


def _label(names: list[str], values: tuple, ids: Any, i: int) -> str:
    if ids is not None and not callable(ids):
        return str(list(ids)[i])
    show = ids if callable(ids) else repr
    return ", ".join(f"{name}={show(value)}" for name, value in zip(names, values, strict=True))


def _place(error: BaseException) -> str:
    """Return the line of the test in which the case failed."""
    trace = error.__traceback__
    frame = trace and (trace.tb_next or trace)
    return f"{frame.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.tb_lineno}" if frame else "?"
