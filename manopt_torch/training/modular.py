"""An optimizer made of modules."""

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.directions.base import check_direction
from manopt_torch.directions.chain import Chain, ScaleRule
from manopt_torch.errors import OptionsError
from manopt_torch.functional.masked import lane_for
from manopt_torch.plans.options import Memory, functors_of
from manopt_torch.problems.autodiff import grad_mode
from manopt_torch.problems.closure import ClosureProblem
from manopt_torch.training.modular_program import Program, StepState, landed
from manopt_torch.training.modular_settings import SplitRule, adjusted, extended, settings_of
from manopt_torch.training.modular_state import packed, unpacked
from manopt_torch.training.modules.base import OwnRateRule
from manopt_torch.training.modules.subspace import Subspace
from manopt_torch.training.step_frame import framed, observed

# one call for all tensors, as in the optimizers of torch
_add: Any = getattr(torch, "_foreach_add_")  # noqa: B009
# what a saved state has besides that of other optimizers
_ENTRIES = ("modules", "iteration", "chain")


class ModularOptimizer(KnownKeywords, torch.optim.Optimizer):
    r"""A `torch.optim.Optimizer` put together from modules, which act one after the other on the gradient.

    Modules are the direction rules of the solvers, also under the names of torchzero; gradient providers such as
    `FDM()`, which come first; `Subspace`; and line searches. The step is
    $x_{i+1} = \operatorname{retr}_{x_i}(-s_i d_i)$ with the direction $d_i$ of the last module and $s_i = 1$, unless
    the last module is a line search. All parameters together are one point; a `ManifoldParameter` moves on its
    manifold, any other in Euclidean space.

    `LR(c)` scales by $c$. The last one (or the rate that `Adam()` and `SGD()` bring along when there is none, or the
    step 1) is the setting "lr" of the parameter groups, which learning-rate schedulers change. The other numbers of the
    modules are settings too, by their names: `{"params": ..., "momentum": 0.5}`; a name that several modules have is
    preceded by the module's place, as in "2.momentum". A module whose settings differ between groups acts on each
    group by itself.

    Args:
        params: parameters, parameter groups (dicts with "params" and settings), named parameters, or a module.
        modules: the modules, first to last; lists in it are taken apart.

    Raises:
        OptionsError: if there is no parameter, something is no module or stands where it cannot act, a module makes no
            sense on the manifold of a parameter, or a group has an unknown setting.

    Examples:
        >>> import torch
        >>> from manopt_torch.training import LR, ClipNorm, NesterovMomentum
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = ModularOptimizer(model.parameters(), [ClipNorm(4), LR(1e-3), NesterovMomentum(0.9)])
        >>> def closure(backward=True):
        ...     loss = model(torch.ones(2)).square().sum()
        ...     if backward:
        ...         optimizer.zero_grad()
        ...         loss.backward()
        ...     return loss
        >>> first, second = optimizer.step(closure), optimizer.step(closure)
        >>> bool(second < first)
        True
    """

    def __init__(self, params: Any, modules: Any) -> None:
        if isinstance(params, torch.nn.Module):
            params = params.parameters()
        if isinstance(params, Iterable) and not isinstance(params, torch.Tensor):
            params = list(params)
            if not params:
                raise OptionsError("there are no parameters to train: params is empty")
        self._ready, self._iteration, self._memory = False, 0, Memory()
        self._program = Program(modules)
        self._last_rate = _last_rate(self._program)
        others = [None if n == self._last_rate else rule for n, rule in enumerate(self._program.rules)]
        self._settings = settings_of(others)
        self._values_of = itemgetter(*self._settings) if self._settings else None
        rate = 1.0 if self._last_rate is None else float(self._program.rules[self._last_rate].factor)
        defaults = {name: getattr(others[n], attribute) for name, (n, attribute) in self._settings.items()}
        torch.optim.Optimizer.__init__(self, params, {"lr": rate, **defaults})
        self._ready = True
        self._take_up()

    # ---- a step -----------------------------------------------------------------------------------------------------
    @framed
    def step(self, closure: Callable[..., Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make one step, and return the loss at its start, or the last one evaluated if that was not needed.

        Args:
            closure: `closure(backward=True)` returns the loss; with True it also zeroes the gradients and calls
                `backward()` on the loss. `closure()` does for modules that never evaluate the loss alone. None takes
                what stands in `.grad`; modules that evaluate then raise.
        """
        self._iteration += 1
        problem, program, i = self._problem, self._program, self._iteration
        with grad_mode(False):
            x = problem.begin(closure)
            try:
                p = program.decorated(problem, i) if program.providers else problem
                o = StepState(p, x, self._lane, self._memory, i, needs_gradient=program.needs_gradient)
                self._move(p, o, self._direction(p, o, i))
                return None if closure is None else problem.loss
            finally:
                problem.end()

    def _direction(self, p: Any, o: StepState, i: int) -> Any:
        """Return what the modules make of the gradient, all but a rate at the end."""
        self._read_settings()
        u = None
        for n, rule in enumerate(self._rules):
            if n == self._last_rate:
                u = self._scaled(o.gradient if u is None else u) if n + 1 < len(self._rules) else u
            else:
                u = rule(p, o, i, u)
        return o.gradient if u is None else u

    def _move(self, p: Any, o: StepState, u: Any) -> None:
        """Step along minus the direction, or search there."""
        problem, amid = self._problem, self._last_rate is not None and self._last_rate + 1 < len(self._rules)
        if self._program.search is not None:
            u = u if amid else self._scaled(u)
            problem.write(landed(self._program, p, o, self._iteration, u))
            return
        for group, kinds in zip(self.param_groups, self._kinds, strict=True):
            s = -1.0 if amid else -float(group["lr"])
            if problem.idle:
                kinds = [[n for n in places if n not in problem.idle] for places in kinds]
            flat, curved = kinds
            if flat:
                _add([problem.parameters[n] for n in flat], [u[n] for n in flat], alpha=s)
            for n in curved:
                problem.parameters[n].copy_(problem.factors[n].retract(o.x[n], u[n], s))

    def _scaled(self, u: Any) -> Any:
        """Multiply by the learning rate of each group."""
        rates = {float(group["lr"]) for group in self.param_groups}
        if rates == {1.0}:
            return u
        new = list(u)
        for group, places in zip(self.param_groups, self._groups, strict=True):
            for n in places:
                new[n] = u[n] * float(group["lr"])
        return tuple(new)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients: to None, or to zero, as other optimizers of torch do."""
        if not set_to_none or observed(self):
            torch.optim.Optimizer.zero_grad(self, set_to_none)
            return
        for group in self.param_groups:
            for q in group["params"]:
                q.grad = None

    # ---- settings of the groups -------------------------------------------------------------------------------------
    def _read_settings(self) -> None:
        """Take up what has been changed in the parameter groups."""
        if self._values_of is None:
            return
        seen = [self._values_of(group) for group in self.param_groups]
        if seen == self._seen:
            return
        for n in sorted({n for n, _ in self._settings.values()}):
            names = {name: attribute for name, (m, attribute) in self._settings.items() if m == n}
            values = [{attribute: group[name] for name, attribute in names.items()} for group in self.param_groups]
            self._set(n, values)
        self._seen = seen

    def _set(self, n: int, values: list[dict[str, Any]]) -> None:
        """Give rule `n` its settings; split it where they differ."""
        rule = self._rules[n]
        alike = all(value == values[0] for value in values)
        if alike and not isinstance(rule, SplitRule):
            new = [adjusted(rule, **values[0])]
            old, self._rules[n] = [rule], new[0]
        else:
            split = SplitRule(self._program.rules[n], values, self._groups)
            new, old = split.parts, rule.parts if isinstance(rule, SplitRule) else [rule]
            self._rules[n] = split
        if old[0] in self._memory:
            held = [self._memory[part] for part in old]
            if len(held) < len(new):
                held = self._rules[n].divided(held[0], len(self._problem.parameters))
            for part, tree in zip(new, held, strict=True):
                self._memory[part] = tree
            for part in old:
                self._memory.forget(part)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own; what the modules remember of the others is kept."""
        known = {"params", "lr", "param_names", "initial_lr", *self._settings}
        unknown = [key for key in param_group if key not in known]
        if unknown:
            taken = ", ".join(sorted(known - {"params", "param_names", "initial_lr"}))
            raise OptionsError(
                f"unknown setting {', '.join(map(str, unknown))} of a parameter group; known are {taken}"
            )
        torch.optim.Optimizer.add_param_group(self, param_group)
        if self._ready:
            held = packed(self._functors(), self._memory)
            self._take_up()
            self._prepare(held, longer=True)

    # ---- construction and saving ------------------------------------------------------------------------------------
    def _take_up(self) -> None:
        """Look at the parameters, and check that the modules suit them."""
        trained = [[q for q in group["params"] if q.requires_grad] for group in self.param_groups]
        self._problem = problem = ClosureProblem([q for group in trained for q in group])
        problem.remembered = self._program.search is not None or len(self._program.rules) > 1 or self._last_rate is None
        self._lane = lane_for(problem.M, problem.begin(None))
        self._groups, start = [], 0
        for group in trained:
            self._groups.append(list(range(start, start + len(group))))
            start += len(group)
        # of each group, what moves along straight lines and what by a retraction
        curved = set(problem.curved)
        self._kinds = [[[n for n in g if n not in curved], [n for n in g if n in curved]] for g in self._groups]
        self._rules = list(self._program.rules)
        self._memory, self._seen = Memory(), None
        # inside a subspace everything is Euclidean
        outside = [rule for rule in self._program.rules if not isinstance(rule, Subspace)]
        check_direction(self._program.decorated(self._problem, 1), _Directed(Chain(outside)))
        self._read_settings()

    def _functors(self) -> list[tuple[str, Any]]:
        """List all that remembers something, with its path."""
        found: list[tuple[str, Any]] = []
        for n, rule in enumerate(self._rules):
            parts = [(f"{n}", rule)]
            if isinstance(rule, SplitRule):
                parts = [(f"{n}.group{k}", part) for k, part in enumerate(rule.parts)]
            for path, part in parts:
                found += [(path, part), *functors_of(part, path)]
        search = self._program.search
        return found if search is None else [*found, ("search", search), *functors_of(search, "search")]

    def _prepare(self, held: dict[str, Any], *, longer: bool = False) -> None:
        """Fill the memories with what was packed."""
        problem = self._problem
        x = problem.begin(None)
        with grad_mode(False):
            o = StepState(problem, x, self._lane, self._memory, self._iteration)
            unpacked(self._functors(), held, self._memory, problem, o, extended if longer else None)
        problem.end()

    def state_dict(self) -> dict[str, Any]:
        """Return groups and memories as plain data, for `torch.save` and `torch.load(weights_only=True)`."""
        plain = torch.optim.Optimizer.state_dict(self)
        plain["modules"] = packed(self._functors(), self._memory)
        plain["iteration"], plain["chain"] = self._iteration, self._chain()
        return plain

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a state saved by an optimizer with the same modules and parameters.

        Raises:
            OptionsError: if the state is that of other modules.
        """
        missing = [name for name in _ENTRIES if not isinstance(state_dict, dict) or name not in state_dict]
        if missing:
            raise OptionsError(f"load_state_dict: this is no state of a ModularOptimizer: it has no {missing[0]!r}")
        if state_dict["chain"] != self._chain():
            raise OptionsError(
                f"load_state_dict: a state of {state_dict['chain']}, the modules are {self._chain()} now"
            )
        rest = {key: value for key, value in state_dict.items() if key not in _ENTRIES}
        torch.optim.Optimizer.load_state_dict(self, rest)
        self._take_up()
        self._iteration = state_dict["iteration"]
        self._prepare(state_dict["modules"])

    def __getstate__(self) -> dict[str, Any]:
        """Let copies have everything; a `step` that a scheduler has put on the object stays behind."""
        return {key: value for key, value in self.__dict__.items() if key != "step"}

    def _chain(self) -> str:
        parts = [*self._program.providers, *self._program.rules, self._program.search]
        return ", ".join(type(part).__name__ for part in parts if part is not None)

    def __repr__(self) -> str:
        parts = [*self._program.providers, *self._program.rules, self._program.search]
        return f"ModularOptimizer([{', '.join(repr(part) for part in parts if part is not None)}])"


class _Directed:
    """What the check of rules looks at."""

    def __init__(self, direction: Chain) -> None:
        self.direction = direction


def _last_rate(program: Program) -> int | None:
    """Return the place of the last learning rate."""
    places = [
        n for n, rule in enumerate(program.rules) if isinstance(rule, (ScaleRule, OwnRateRule)) and not rule.inner
    ]
    return places[-1] if places else None
