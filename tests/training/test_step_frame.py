import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from manopt_torch.training import LR, ModularOptimizer


def made():
    x = torch.nn.Parameter(torch.ones(2))
    optimizer = ModularOptimizer([x], [LR(0.25)])
    x.grad = torch.ones(2)
    return x, optimizer


def test_hooks_are_called_around_each_step():
    x, optimizer = made()
    calls = []

    def hook(name):
        return lambda o, args, kwargs: calls.append((name, o is optimizer, x[0].item()))

    handles = [
        optimizer.register_step_pre_hook(hook("before")),
        optimizer.register_step_post_hook(hook("after")),
        register_optimizer_step_pre_hook(hook("before all")),
        register_optimizer_step_post_hook(hook("after all")),
    ]
    optimizer.step()
    assert calls == [("before all", True, 1.0), ("before", True, 1.0), ("after", True, 0.75), ("after all", True, 0.75)]
    while handles:  # each kind alone calls for the frame
        handles.pop().remove()
        calls.clear()
        optimizer.step()
        assert len(calls) == len(handles)
    assert x[0].item() == 1 - 5 * 0.25


def test_a_profiler_sees_the_marks():
    x, optimizer = made()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step()
        optimizer.zero_grad()
    seen = {event.name for event in profile.events()}
    assert {f"Optimizer.{name}#ModularOptimizer.{name}" for name in ("step", "zero_grad")} <= seen
    assert x.grad is None


def test_a_schedule_counts_the_steps(recwarn):
    x, optimizer = made()
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    for _ in range(2):
        optimizer.step()
        schedule.step()
    assert x[0].item() == 1 - 0.25 - 0.125 and not recwarn.list


def test_gradients_are_reset():
    x, optimizer = made()
    optimizer.zero_grad(set_to_none=False)
    assert x.grad is not None and not x.grad.any()
    optimizer.zero_grad()
    assert x.grad is None
