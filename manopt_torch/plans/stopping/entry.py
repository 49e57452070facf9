"""Criteria on a field of the options."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import lane_of
from manopt_torch.plans.stopping.base import StoppingCriterion
from manopt_torch.plans.symbols import check_symbol, field_of


class StopWhenSmallerOrEqual(StoppingCriterion):
    r"""Stop a problem when a field of the options is at most $v$.

    Args:
        field: name of a field with one number a problem, with or without colon, e.g. `"last_stepsize"`.
        v: the bound.

    Raises:
        OptionsError: if `v` is not a number, or `field` no name.
        UnknownSymbolError: at the start of a run, if its options have no such field.
    """

    field: str
    v: float

    def __init__(self, field: str, v: float) -> None:
        if not isinstance(field, str) or not field_of(field).isidentifier():
            raise OptionsError(f"StopWhenSmallerOrEqual: field must be a name such as 'last_stepsize', got {field!r}")
        if not isinstance(v, (int, float)) or v != v:
            raise OptionsError(f"StopWhenSmallerOrEqual: v must be a number, got {v!r}")
        self.field, self.v = field_of(field), v

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare the field with the bound; one that is not set yet is not small."""
        if i <= 0:
            check_symbol(o, f":{self.field}", ())
        value = getattr(o, self.field)
        return False if value is None else lane_of(p, o).scalar(value) <= self.v

    def reason(self, o: Any, i: int) -> str:
        """Name the field and the bound."""
        return f"The field {self.field} was at most {self.v:g} after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenSmallerOrEqual({self.field!r}, {self.v:g})"
