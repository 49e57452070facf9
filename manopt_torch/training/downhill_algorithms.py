"""The algorithms by name, each a chain of direction rules, with the formulas of the package downhill or of torch."""

import inspect
import math
from collections.abc import Callable
from typing import Any

from manopt_torch.directions.accumulated import AdadeltaRule, AdagradRule
from manopt_torch.directions.base import DirectionRule, rules_of
from manopt_torch.directions.chain import Chain, ScaleRule
from manopt_torch.directions.clip import ClipNormRule, ClipValueRule
from manopt_torch.directions.equilibrate import EquilibratedRule
from manopt_torch.directions.moments import AdamRule, RMSPropRule, from_halflife
from manopt_torch.directions.momentum import HeavyBallRule, NesterovRule
from manopt_torch.directions.rprop import RpropRule
from manopt_torch.errors import OptionsError

Rules = list[DirectionRule]


# ---- the formulas of downhill: the learning rate comes before the momentum ------------------------------------------
def _sgd(learning_rate: float) -> Rules:
    return [ScaleRule(learning_rate)]


def _rprop(
    learning_rate: float,
    *,
    rprop_increase: float = 1.01,
    rprop_decrease: float = 0.99,
    rprop_min_step: float = 0.0,
    rprop_max_step: float = 100.0,
) -> Rules:
    return [RpropRule(learning_rate, rprop_increase, rprop_decrease, rprop_min_step, rprop_max_step)]


def _adagrad(learning_rate: float, *, rms_regularizer: float = 1e-8) -> Rules:
    return [AdagradRule(rms_regularizer, eps_inside=True), ScaleRule(learning_rate)]


def _rmsprop(learning_rate: float, *, rms_halflife: float = 14, rms_regularizer: float = 1e-8) -> Rules:
    rule = RMSPropRule(from_halflife(rms_halflife), rms_regularizer, centered=True, eps_inside=True)
    return [rule, ScaleRule(learning_rate)]


def _adadelta(learning_rate: float, *, rms_halflife: float = 14, rms_regularizer: float = 1e-8) -> Rules:
    return [AdadeltaRule(from_halflife(rms_halflife), rms_regularizer)]  # without a learning rate


def _esgd(
    learning_rate: float,
    *,
    rms_halflife: float = 14,
    rms_regularizer: float = 1e-8,
    probe: Any = "normal",
    seed: int = 0,
) -> Rules:
    rule = EquilibratedRule(from_halflife(rms_halflife), rms_regularizer, probe, seed)
    return [rule, ScaleRule(learning_rate)]


def _adam(
    learning_rate: float, *, beta1_halflife: float = 7, beta2_halflife: float = 69, rms_regularizer: float = 1e-8
) -> Rules:
    rule = AdamRule(from_halflife(beta1_halflife), from_halflife(beta2_halflife), rms_regularizer)
    return [rule, ScaleRule(learning_rate)]


# ---- the formulas and defaults of torch.optim: the learning rate comes last -----------------------------------------
def _torch_sgd(learning_rate: float) -> Rules:
    return []


def _torch_rprop(
    learning_rate: float, *, etas: tuple[float, float] = (0.5, 1.2), step_sizes: tuple[float, float] = (1e-6, 50.0)
) -> Rules:
    return [RpropRule(learning_rate, etas[1], etas[0], *step_sizes)]


def _torch_adagrad(learning_rate: float, *, eps: float = 1e-10, initial_accumulator_value: float = 0.0) -> Rules:
    return [AdagradRule(eps, initial_accumulator_value)]


def _torch_rmsprop(learning_rate: float, *, alpha: float = 0.99, eps: float = 1e-8, centered: bool = False) -> Rules:
    return [RMSPropRule(alpha, eps, centered)]


def _torch_adadelta(learning_rate: float, *, rho: float = 0.9, eps: float = 1e-6) -> Rules:
    return [AdadeltaRule(rho, eps)]


def _torch_adam(learning_rate: float, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Rules:
    return [AdamRule(*betas, eps)]


ALGORITHMS: dict[str, dict[str, Callable[..., Rules]]] = {
    "downhill": {
        "sgd": _sgd,
        "nag": _sgd,
        "rprop": _rprop,
        "rmsprop": _rmsprop,
        "adagrad": _adagrad,
        "adadelta": _adadelta,
        "esgd": _esgd,
        "adam": _adam,
    },
    "torch": {
        "sgd": _torch_sgd,
        "nag": _torch_sgd,
        "rprop": _torch_rprop,
        "rmsprop": _torch_rmsprop,
        "adagrad": _torch_adagrad,
        "adadelta": _torch_adadelta,
        "adam": _torch_adam,
    },
}


def check_algorithm(algo: Any, formulas: str) -> Any:
    """Return the name of an algorithm in lower case, or the rule that was given for one.

    Raises:
        OptionsError: if there is no such algorithm, or the rule cannot be used.
    """
    if formulas not in ALGORITHMS:
        raise OptionsError(f"formulas must be one of {', '.join(ALGORITHMS)}, got {formulas!r}")
    if isinstance(algo, DirectionRule):
        for rule in rules_of(algo):
            if rule.asks_stepsize:
                raise OptionsError(f"algo: {type(rule).__name__} asks for a step size: use stochastic_gradient_descent")
        return algo
    name = algo.lower() if isinstance(algo, str) else algo
    if name not in ALGORITHMS[formulas]:
        known = ", ".join(sorted(ALGORITHMS[formulas]))
        raise OptionsError(f"algo must be a direction rule or, with the formulas of {formulas}, {known}; got {algo!r}")
    return name


def keywords_of(algo: Any, formulas: str) -> dict[str, Any]:
    """Return the hyper-parameters of an algorithm with their defaults."""
    common = {
        "learning_rate": 1e-4,
        "momentum": 0.0,
        "nesterov": False,
        "max_gradient_norm": 0.0,
        "max_gradient_elem": 0.0,
    }
    if isinstance(algo, DirectionRule):
        return common
    own = inspect.signature(ALGORITHMS[formulas][algo]).parameters.values()
    return common | {p.name: p.default for p in own if p.kind is p.KEYWORD_ONLY}


def composition(algo: Any, formulas: str, hyper: dict[str, Any]) -> Chain:
    """Return the chain of an algorithm: limits of the gradient, the rule, learning rate and momentum.

    Args:
        algo: a name or a rule.
        formulas: "downhill" or "torch".
        hyper: a value for each of the algorithm's keywords.
    """
    hyper = dict(hyper)
    rate, momentum, nesterov = hyper.pop("learning_rate"), hyper.pop("momentum"), hyper.pop("nesterov")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < math.inf:
        raise OptionsError(f"learning_rate must be a positive number, got {rate!r}")
    rules = _limits(hyper.pop("max_gradient_norm"), hyper.pop("max_gradient_elem"))
    if isinstance(algo, DirectionRule):
        rules += [algo, ScaleRule(rate)]
    else:
        rules += ALGORITHMS[formulas][algo](rate, **hyper)
    if algo == "nag" and not nesterov:
        nesterov = True
    rules += _momentum(momentum, formulas if nesterov is True else nesterov)
    # that of torch's Rprop is the first length already
    if formulas == "torch" and not isinstance(algo, DirectionRule) and algo != "rprop":
        rules.append(ScaleRule(rate))
    return Chain(rules)


def _limits(norm: float | None, elem: float | None) -> Rules:
    if norm and elem:
        raise OptionsError(f"give one of max_gradient_norm={norm!r} and max_gradient_elem={elem!r}, not both")
    if elem:
        return [ClipValueRule(elem)]
    return [ClipNormRule(norm, scope="factor")] if norm else []


def _momentum(momentum: float, nesterov: Any) -> Rules:
    if nesterov not in (False, "downhill", "torch"):
        raise OptionsError(f'nesterov must be True, False, "downhill" or "torch", got {nesterov!r}')
    rule = NesterovRule(momentum, variant=nesterov) if nesterov else HeavyBallRule(momentum)
    return [rule] if momentum else []  # made in any case: it checks the number
