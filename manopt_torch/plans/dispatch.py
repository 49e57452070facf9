"""Verbs: what a solver does, as generic functions keyed on the type of its options."""

from collections.abc import Callable
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import Options, OptionsDecorator, get_options
from manopt_torch.problems.autodiff import grad_mode


class Verb:
    """A generic function that chooses its implementation by the type of the options.

    `verb.register(MyOptions)` is a decorator for the implementation, `verb.resolve(MyOptions)` returns it: `solve`
    resolves once, before its loop. Subclasses inherit. Decorators pass every verb on to the options inside, unless an
    implementation is registered for them.

    Args:
        name: name for messages.
        position: which positional argument holds the options.
        begun: whether the options must have been initialised before.
    """

    def __init__(self, name: str, doc: str, position: int = 1, *, begun: bool = False) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc
        self._position, self._begun = position, begun
        self._table: dict[type, Callable[..., Any]] = {OptionsDecorator: self._pass_on}

    def register(self, kind: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return a decorator that makes a function the implementation for options of type `kind`."""

        def enter(fn: Callable[..., Any]) -> Callable[..., Any]:
            self._table[kind] = fn
            return fn

        return enter

    def resolve(self, kind: type) -> Callable[..., Any]:
        """Return the implementation for `kind` or its nearest base.

        Raises:
            OptionsError: if there is none; the message says how to register one.
        """
        for base in kind.__mro__:
            if base in self._table:
                return self._table[base]
        verb, options = self.__name__, kind.__name__
        raise OptionsError(f"no {verb} for {options}: add one with @{verb}.register({options})")

    def special_for(self, kind: type) -> bool:
        """Tell whether a decorator type has an implementation of its own instead of the one that passes on."""
        return self.resolve(kind) != self._pass_on

    def _pass_on(self, *args: Any) -> Any:
        inner = args[self._position].options
        return self(*args[: self._position], inner, *args[self._position + 1 :])

    def __call__(self, *args: Any) -> Any:
        """Call the implementation for the options among the arguments, without recording a graph, as `solve` does.

        Some functions round otherwise where a derivative may follow, and steps by hand are to be those of `solve`.
        """
        o = args[self._position]
        with grad_mode(False):
            try:
                return self.resolve(type(o))(*args)
            except (AttributeError, TypeError) as error:
                if self._begun and get_options(o).active is None:
                    raise OptionsError(
                        f"{self.__name__}: the {type(o).__name__} have not been initialised: call "
                        "initialize_solver(p, o) before the first step"
                    ) from error
                raise


initialize_solver: Verb = Verb(
    "initialize_solver",
    "Fill the state of options `o` for problem `p`, before the first step: `initialize_solver(p, o)`.",
)
step_solver: Verb = Verb(
    "step_solver",
    "Carry out step `i` of the solver that options `o` stand for: `step_solver(p, o, i)`.",
    begun=True,
)
stop_solver: Verb = Verb(
    "stop_solver",
    "Tell whether the run is over after step `i`: `stop_solver(p, o, i)`; finished problems are frozen.",
)
get_solver_result: Verb = Verb(
    "get_solver_result",
    "Return the result of a run from its options, by default the iterate: `get_solver_result(o)`.",
    position=0,
)


@get_solver_result.register(Options)
def _iterate(o: Options) -> Any:
    return o.x
