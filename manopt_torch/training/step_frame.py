"""What torch puts around each step of an optimizer, left out where nobody looks at it.

`torch.optim.Optimizer` wraps `step` and `zero_grad` into marks for the profiler. On a parameter of a few entries the
marks take longer than the step.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch

# private entries of torch; where they are missing, somebody may always be looking
_profiled: Callable[[], bool] = getattr(torch.autograd, "_profiler_enabled", lambda: True)
_module = sys.modules[torch.optim.Optimizer.__module__]
_before_all: Any = getattr(_module, "_global_optimizer_pre_hooks", (None,))
_after_all: Any = getattr(_module, "_global_optimizer_post_hooks", (None,))


def observed(optimizer: Any) -> bool:
    """Tell whether a profiler runs, or hooks want to be called around the steps of the optimizer."""
    own = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    return bool(own or _before_all or _after_all) or _profiled()


def framed(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method `step(closure=None)` that has marks and hooks around it only while the optimizer is observed."""
    in_frame = torch.optim.Optimizer.profile_hook_step(step)

    def framed_step(self: Any, closure: Callable[..., Any] | None = None) -> Any:
        return in_frame(self, closure) if observed(self) else step(self, closure)

    framed_step.__name__, framed_step.__qualname__, framed_step.__doc__ = step.__name__, step.__qualname__, step.__doc__
    framed_step.hooked = True  # which tells torch that the frame is there  # pyright: ignore[reportFunctionMemberAccess]
    return framed_step
