"""The one loop: every solver runs here, decorated or not, alone or in a batch."""

import time
from typing import Any

import torch

from manopt_torch._keywords import as_called, strict_keywords
from manopt_torch.errors import MissingDerivativeError, OptionsError
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.begin import begin
from manopt_torch.plans.checkpoint import take_up
from manopt_torch.plans.compaction import WorkingSet
from manopt_torch.plans.decorate import decorate_options, record_places_of
from manopt_torch.plans.dispatch import initialize_solver, step_solver, stop_solver
from manopt_torch.plans.hooks import STOP, Agenda, Hooks, collect_hooks, run_hooks
from manopt_torch.plans.options import Options, OptionsDecorator, get_options, make_memory
from manopt_torch.problems.autodiff import full_precision, grad_mode
from manopt_torch.problems.counted import bare_problem


@strict_keywords
def solve(problem: Any, options: Any, *, debug: Any = None, record: Any = None) -> Any:
    """Run the solver that `options` stand for on `problem`.

    Args:
        problem: what to minimise, e.g. `GradientProblem(M, cost)`.
        options: the solver's options with the start, e.g. `GradientDescentOptions(x)`, decorated or not.
        debug: what to print, e.g. `[":Iteration", " | ", ":Cost", 10]`; see `decorate_options`.
        record: what to record, e.g. `[":Iteration", ":Cost"]`; read it with `get_record`.

    The run takes no notice of `torch.autocast` around it, and its result carries no graph: the derivative of the
    solution by the data comes from `differentiable_solution`.

    Returns:
        The options given, now holding the result (`options.x`, or `get_solver_result(options)`), the reason of each
        problem's stop (`get_reason`), and the records (`get_record`). Solving again goes on from there.

    Raises:
        OptionsError: if `options` are none, or their class, or start and data are of dtypes that torch does not mix.
        MissingDerivativeError: if the problem lacks what the solver needs.
        ShapeError: if the start, the data or the cost's result have the wrong shape.
        NonFiniteError: if the start is not finite, or no problem has a finite cost and gradient there.
        NotOnManifoldError: if the start is off the manifold.
        UnknownSymbolError: if a debug or record symbol is unknown.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientDescentOptions, GradientProblem, Sphere, get_record, solve
        >>> p = GradientProblem(Sphere(3), lambda x: x[..., 2])
        >>> o = solve(p, GradientDescentOptions(torch.eye(3, dtype=torch.float64)[:2]), record=[":Cost"])
        >>> bool((o.x[:, 2] < -0.999999).all()), o.iterations.shape
        (True, torch.Size([2]))
    """
    bare_problem(problem)  # raises where it is none
    if isinstance(options, type) and issubclass(options, (Options, OptionsDecorator)):
        raise OptionsError(
            f"expected Options (or decorated ones), got the class {options.__name__}: write {as_called(options)}"
        )
    bare = get_options(options)  # without decorators: where the state is
    target = decorate_options(options, debug=debug, record=record)
    started, counted = time.perf_counter(), problem.counts.as_dict()
    # decorators that only add hooks are flattened; one with verbs of its own is asked at every step instead
    special = _has_special_verbs(target)
    subject, hooks = (target, Hooks()) if special else (bare, collect_hooks(target))
    with grad_mode(False), full_precision():
        bare.lane = None  # filled by `begin`, which initialisation calls
        _initialize(problem, bare, subject)
        if bare.lane is None:  # a solver of one's own may leave the common state to us
            begin(problem, bare)
        bare.hooks, bare.record_places = hooks, record_places_of(target)
        make_memory(problem, bare)
        take_up(problem, bare)
        try:
            run_hooks(hooks.start, problem, bare, 0)
            _loop(problem, subject, hooks)
            run_hooks(hooks.stop, problem, bare, STOP)
        finally:
            bare.seconds = time.perf_counter() - started
            bare.evaluations = {kind: n - counted[kind] for kind, n in problem.counts.as_dict().items()}
    return options


def _initialize(problem: Any, bare: Any, subject: Any) -> None:
    """Initialise; where torch refuses tensors of two dtypes, or of inference mode, say whose they are."""
    try:
        initialize_solver.resolve(type(subject))(problem, subject)
    except RuntimeError as error:
        if "nference tensors" in str(error):
            raise _of_inference_mode(problem, error) from error
        if not any(words in str(error) for words in _TWO_DTYPES):
            raise
        raise _of_two_dtypes(problem, bare.x, error) from error


# what torch says, by one operation or another, of arguments of different dtypes
_TWO_DTYPES = ("same dtype", "scalar type", "got dtype")


def _of_inference_mode(problem: Any, error: RuntimeError) -> MissingDerivativeError:
    """Return the error for tensors of inference mode, of which autograd keeps none."""
    if torch.is_inference_mode_enabled():
        return MissingDerivativeError("nothing can be differentiated under torch.inference_mode: use torch.no_grad")
    made = [f"data[{n}]" for n, d in enumerate(problem.data) if d.is_inference()]
    whose = " and ".join(made) or "tensors that a callable of the problem uses"
    return MissingDerivativeError(
        f"{whose} were made under torch.inference_mode ({error}): nothing computed with them can be differentiated, so "
        "make them under torch.no_grad, or pass copies made outside by .clone()"
    )


def _of_two_dtypes(problem: Any, x: Any, error: RuntimeError) -> OptionsError:
    """Return the error for callables that meet a start and other tensors between which torch does not convert."""
    own = first_leaf(x).dtype
    floating = [(n, d.dtype) for n, d in enumerate(problem.data) if d.is_floating_point() or d.is_complex()]
    others = [(f"data[{n}]", kind) for n, kind in floating if kind.to_real() != own.to_real()]
    if not others:  # tensors that a callable has from elsewhere are not known here
        return OptionsError(
            f"the start x is of {own}, and a callable of the problem computes with tensors of two dtypes ({error}): "
            f"make those that it uses besides x of {own} as well, or pass the start in their dtype by x.to(...)"
        )
    listed = " and ".join(f"{name} of {kind}" for name, kind in others)
    cure = others[0][1].to_complex() if own.is_complex else others[0][1].to_real()
    return OptionsError(
        f"the start x is of {own}, but {listed} ({error}): they need the same dtype, so pass the start as "
        f"x.to({cure}), or data of the dtype of the start"
    )


def _loop(problem: Any, subject: Any, hooks: Hooks) -> None:
    step, stop = step_solver.resolve(type(subject)), stop_solver.resolve(type(subject))
    work = WorkingSet(problem, subject)
    p, o = work.p, work.o
    i = o.iteration
    agenda, shrinks = Agenda(hooks.step, i), work.possible
    try:
        # criteria that a run taken up has asked already are not asked again: some count
        over = o.active_count == 0 if o.asked == i else stop(p, o, i)
        while not over:
            if shrinks:
                p, o = work.shrink()
            i += 1
            step(p, o, i)
            o.iteration = i  # the stop sets it as well, but actions come first
            actions = agenda.always if i < agenda.due else agenda.at(i)
            if actions:
                work.scatter()
                for act in actions:
                    act(problem, subject, i)
                p, o = work.go_on()
            over = stop(p, o, i)
    finally:
        work.scatter()  # also where the user interrupts


def _has_special_verbs(o: Any) -> bool:
    """Tell whether a decorator takes part in the verbs itself instead of only adding hooks."""
    while isinstance(o, OptionsDecorator):
        if o.hook_table() is None and any(
            verb.special_for(type(o)) for verb in (initialize_solver, step_solver, stop_solver)
        ):
            return True
        o = o.options
    return False
