r"""How much a step of a network's training is damped: $(J'J/B + \lambda D)\, d = J'r/B$ for a batch of $B$ samples."""

from typing import Protocol, runtime_checkable

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError

_MODES = ("standard", "fletcher", "adaptive")


@runtime_checkable
class DampingStrategy(Protocol):
    r"""What `LevenbergMarquardtModule` asks of a damping strategy; any object with these methods is one.

    In a step, `initialize_step` is called once, and after each attempt one of the two `on_...` methods; losses are
    Python floats. After a failed attempt, `stop_attempts` may end the step and `stop_training` raise the stop flag.

    Examples:
        >>> class Constant:
        ...     '''Gauss-Newton with a little Tikhonov regularisation, whatever happens.'''
        ...
        ...     def reset(self): ...
        ...     def get_current_damping(self): return 1e-6
        ...     def scaling(self, diagonal): return torch.ones_like(diagonal)
        ...     def initialize_step(self, loss): ...
        ...     def on_successful_update(self, loss): ...
        ...     def on_unsuccessful_update(self, loss): ...
        ...     def stop_attempts(self, loss): return True
        ...     def stop_training(self, loss): return False
        >>> isinstance(Constant(), DampingStrategy)
        True
    """

    def reset(self) -> None:
        """Return to the initial damping."""
        ...

    def get_current_damping(self) -> float:
        r"""Return $\lambda$ of the next attempt."""
        ...

    def scaling(
        self,
        diagonal: torch.Tensor,  # shape: (parameters,), of J'J/B
    ) -> torch.Tensor:
        """Return the diagonal of $D$, positive; asked once a step."""
        ...

    def initialize_step(self, loss: float) -> None:
        """Get ready for the attempts of a step."""
        ...

    def on_successful_update(self, loss: float) -> None:
        """Take note of an accepted attempt and the new loss."""
        ...

    def on_unsuccessful_update(self, loss: float) -> None:
        """Take note of a failed attempt; the loss stays what it was."""
        ...

    def stop_attempts(self, loss: float) -> bool:
        """Tell whether the step shall end without further attempts."""
        ...

    def stop_training(self, loss: float) -> bool:
        """Tell whether training shall end."""
        ...


class StandardDampingStrategy(KnownKeywords):
    r"""Divide the damping by ten after each success, multiply it by ten after each failure.

    Args:
        starting_value: $\lambda$ of the first attempt.
        dec_factor: factor after a success.
        inc_factor: factor after a failure.
        min_value: least damping; larger values keep the linear systems well-conditioned.
        max_value: largest damping. When a failure takes $\lambda$ there, no further attempt is made.
        damping_mode: the matrix $D$. `"standard"`: $I$; `"fletcher"`: $\operatorname{diag}(J'J)/B$, independent of the
            scale of each parameter; `"adaptive"`: $I$ times the largest entry of that diagonal.
        conditional_stopping: whether reaching `max_value` raises the stop flag.
        auto_reset: whether a step that begins at `max_value` begins at `starting_value` instead.

    Raises:
        OptionsError: if a number is out of its range, or the mode is unknown.

    References:
        [Marquardt:1963]; [Fletcher:1971].

    Examples:
        >>> damping = StandardDampingStrategy()
        >>> damping.on_unsuccessful_update(1.0)
        >>> damping.get_current_damping()
        0.01
    """

    def __init__(
        self,
        starting_value: float = 1e-3,
        dec_factor: float = 0.1,
        inc_factor: float = 10.0,
        min_value: float = 1e-10,
        max_value: float = 1e10,
        damping_mode: str = "standard",
        conditional_stopping: bool = True,
        auto_reset: bool = False,
    ) -> None:
        if not 0 < min_value <= starting_value <= max_value:
            raise OptionsError(
                "damping needs 0 < min_value <= starting_value <= max_value, got "
                f"{min_value!r}, {starting_value!r}, {max_value!r}"
            )
        if not 0 < dec_factor <= 1 <= inc_factor:
            raise OptionsError(f"damping needs 0 < dec_factor <= 1 <= inc_factor, got {dec_factor!r}, {inc_factor!r}")
        if damping_mode not in _MODES:
            raise OptionsError(f"damping_mode must be one of {_MODES}, got {damping_mode!r}")
        self.starting_value, self.dec_factor, self.inc_factor = starting_value, dec_factor, inc_factor
        self.min_value, self.max_value, self.damping_mode = min_value, max_value, damping_mode
        self.conditional_stopping, self.auto_reset = conditional_stopping, auto_reset
        self.damping_factor = starting_value

    def reset(self) -> None:
        """Return to the starting value."""
        self.damping_factor = self.starting_value

    def get_current_damping(self) -> float:
        r"""Return $\lambda$ of the next attempt."""
        return self.damping_factor

    def scaling(
        self,
        diagonal: torch.Tensor,  # shape: (parameters,)
    ) -> torch.Tensor:
        """Return the diagonal of $D$."""
        if self.damping_mode == "standard":
            return torch.ones_like(diagonal)
        finfo = torch.finfo(diagonal.dtype)
        largest = diagonal.amax().clamp(min=finfo.tiny)
        if self.damping_mode == "adaptive":
            return largest.expand_as(diagonal)
        # a parameter without influence must be damped all the same
        return torch.maximum(diagonal, largest * finfo.eps)

    def initialize_step(self, loss: float) -> None:
        """Begin anew where that is asked for."""
        if self.auto_reset and self.damping_factor >= self.max_value:
            self.reset()

    def on_successful_update(self, loss: float) -> None:
        """Lower the damping."""
        self.damping_factor = max(self.damping_factor * self.dec_factor, self.min_value)

    def on_unsuccessful_update(self, loss: float) -> None:
        """Raise the damping."""
        self.damping_factor = min(self.damping_factor * self.inc_factor, self.max_value)

    def stop_attempts(self, loss: float) -> bool:
        """Tell whether the largest damping is reached."""
        return self.damping_factor >= self.max_value

    def stop_training(self, loss: float) -> bool:
        """Tell whether it is, and is to end the training."""
        return self.conditional_stopping and self.stop_attempts(loss)

    def state_dict(self) -> dict[str, float]:
        """Return what a checkpoint has to keep."""
        return {"damping_factor": self.damping_factor}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over the state of a checkpoint."""
        self.damping_factor: float = float(state["damping_factor"])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.damping_factor:g}, damping_mode={self.damping_mode!r})"


def checked_damping(strategy: object) -> DampingStrategy:
    """Return the strategy; raise an OptionsError, naming what is missing, unless it is one."""
    wanted = [name for name in vars(DampingStrategy) if not name.startswith("_")]
    # a subclass of the protocol inherits its empty methods
    empty = [None, *(getattr(DampingStrategy, name) for name in wanted)]
    missing = [name for name in wanted if getattr(type(strategy), name, getattr(strategy, name, None)) in empty]
    if missing or isinstance(strategy, type):
        why = f"it has no {', '.join(missing)}" if missing else "it is a class: call it"
        raise OptionsError(f"damping_strategy {strategy!r} is no DampingStrategy: {why}")
    return strategy  # pyright: ignore[reportReturnType]
