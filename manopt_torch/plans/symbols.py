"""Symbols: the names under which debug and record lists know the values of a run, and what each stands for.

A string such as `":Cost"`, a colon and a name, is a symbol. The known ones are constants of `S`; any other symbol
names a field of the options.
"""

from collections.abc import Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, NamedTuple

from manopt_torch.errors import OptionsError, UnknownSymbolError
from manopt_torch.problems import get_cost, get_gradient


class S:
    """The known symbols, as constants that an editor completes: `S.Cost` is `":Cost"`.

    Values: `Cost`, `Change`, `Gradient`, `GradientNorm`, `Iterate`, `Iteration`, `Stepsize`, `ProximalParameter`,
    `Time`, `Progress` (debug only) and `Stop`, why the run ended. Places of a dictionary of actions: `Start`, `Step`,
    `Stop` and `All`.

    Examples:
        >>> S.GradientNorm
        ':GradientNorm'
    """

    Cost = ":Cost"
    Change = ":Change"
    Gradient = ":Gradient"
    GradientNorm = ":GradientNorm"
    Iterate = ":Iterate"
    Iteration = ":Iteration"
    Stepsize = ":Stepsize"
    ProximalParameter = ":ProximalParameter"
    Time = ":Time"
    Progress = ":Progress"
    Stop = ":Stop"
    # places
    Start = ":Start"
    Step = ":Step"
    All = ":All"


PLACES = (S.Start, S.Step, S.Stop, S.All)
KNOWN = (
    S.Cost,
    S.Change,
    S.Gradient,
    S.GradientNorm,
    S.Iterate,
    S.Iteration,
    S.Stepsize,
    S.ProximalParameter,
    S.Time,
    S.Progress,
    S.Stop,
)
# symbols that stand for a field which only some options have
_FIELD_OF = {S.Stepsize: "last_stepsize", S.ProximalParameter: "proximal_parameter"}


def is_symbol(entry: Any) -> bool:
    """Tell whether an entry of a list is a symbol: a colon and a name.

    Examples:
        >>> is_symbol(":Cost"), is_symbol(" | "), is_symbol(": ")
        (True, False, False)
    """
    return isinstance(entry, str) and entry.startswith(":") and entry[1:].isidentifier()


def is_stop(entry: Any) -> bool:
    """Tell whether an entry of a list asks for the reason at the end; actions may compare as they like."""
    return isinstance(entry, str) and entry == S.Stop


def field_of(name: str) -> str:
    """Return the field that a symbol names, or the name itself: fields may be given with and without the colon."""
    return name.removeprefix(":")


class Entries(NamedTuple):
    """A debug or record list, taken apart."""

    actions: list[Any]  # all but the numbers and ":Stop"
    every: int | None  # the last number
    stop: bool  # whether ":Stop" is in it


def parse_entries(entries: Any) -> Entries:
    """Take apart a list of symbols, strings, actions and numbers.

    Raises:
        OptionsError: if it is no list, or a number in it is not an int of at least 1.
    """
    if isinstance(entries, str) or not isinstance(entries, Sequence):
        raise OptionsError(f"expected a list such as [':Iteration', ':Cost', 10], got {entries!r}")
    numbers: list[Any] = [e for e in entries if isinstance(e, (int, float))]
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise OptionsError(f"a number in such a list means 'every k-th' and must be an int >= 1, got {number!r}")
    actions = [e for e in entries if not isinstance(e, (int, float)) and not is_stop(e)]
    return Entries(actions, numbers[-1] if numbers else None, any(map(is_stop, entries)))


def check_symbol(o: Any, symbol: str, known: Sequence[str] = KNOWN) -> None:
    """Raise unless a symbol is known or names a field of the options.

    Args:
        o: undecorated options.
        symbol: the symbol.
        known: the symbols with an action of their own.

    Raises:
        UnknownSymbolError: the message lists what there is.
    """
    # what belongs to the run as a whole (lane, memory, hooks) is no use in a list
    names = [f.name for f in fields(o) if f.metadata.get("per_problem", True)]
    if symbol in known:
        wanted = _FIELD_OF.get(symbol)
        if wanted is None or hasattr(o, wanted):
            return
        raise UnknownSymbolError(f"{symbol} needs the field {wanted}, {type(o).__name__} has {', '.join(names)}")
    if hasattr(o, field_of(symbol)) and not symbol.startswith(":_"):
        return
    spelled = {name.lower(): name for name in [*(f":{name}" for name in names), *known]}
    close = get_close_matches(symbol.lower(), spelled, n=1, cutoff=0.75)
    hint = f" (did you mean {spelled[close[0]]}?)" if close else ""
    listed = f"The symbols are {', '.join(known)}; the" if known else "The"
    raise UnknownSymbolError(
        f"{symbol} is no symbol and no field of {type(o).__name__}{hint}. {listed} fields are {', '.join(names)}"
    )


# ---- what the symbols stand for: a state field, or an evaluation where it is not set --------------------------------


def cost_of(p: Any, o: Any) -> Any:
    """Return the cost at the iterate."""
    return get_cost(p, o.x) if o.cost is None else o.cost


def gradient_of(p: Any, o: Any) -> Any:
    """Return the gradient at the iterate."""
    return get_gradient(p, o.x) if o.gradient is None else o.gradient


def gradient_norm_of(p: Any, o: Any) -> Any:
    """Return the norm of the gradient at the iterate."""
    return p.M.norm(o.x, gradient_of(p, o))


def stepsize_of(p: Any, o: Any, i: int) -> Any:
    """Return the last step size; before the first step, the one that iteration `i` would take."""
    last = field_value(o, "last_stepsize")
    return o.stepsize(p, o, i) if last is None and hasattr(o, "stepsize") else last


def proximal_parameter_of(p: Any, o: Any, i: int) -> Any:
    """Return the parameter of the proximal maps, from a function of the iteration if it is one."""
    value = field_value(o, "proximal_parameter")
    return value(i) if callable(value) else value


def field_value(o: Any, field: str) -> Any:
    """Return a field of the options.

    Raises:
        UnknownSymbolError: if there is none of that name.
    """
    if not hasattr(o, field):
        check_symbol(o, f":{field}", ())
    return getattr(o, field)


def batch_shape_of(p: Any, o: Any) -> tuple[int, ...]:
    """Return the batch axes of a run, `()` for a lone problem."""
    return p.M.batch_shape(o.x) if o.lane is None else o.lane.shape
