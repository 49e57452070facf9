"""What cannot be trained by Levenberg-Marquardt, and what to do about it."""

from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.parameter import ManifoldParameter

_PLAIN = {bool, int, float, str}


def trainable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the parameters to train, by name.

    Raises:
        OptionsError: if there are none, or some are complex, or live on a manifold.
    """
    if not isinstance(model, torch.nn.Module):
        raise OptionsError(f"model must be a torch.nn.Module, got {model!r}: a function has no parameters to train")
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise OptionsError("the model has no parameter that requires a gradient")
    for name, p in found.items():
        if isinstance(p, ManifoldParameter):
            raise OptionsError(
                f"parameter {name!r} lives on {p.manifold!r}, and steps of LevenbergMarquardtModule are additions: "
                "use manopt_torch.levenberg_marquardt with that manifold, or requires_grad_(False)"
            )
        if not p.is_floating_point():
            raise OptionsError(f"parameter {name!r} has dtype {p.dtype}: only real parameters can be trained")
    return found


def refuse_layers(model: torch.nn.Module, vectorized: bool) -> None:
    """Refuse layers in training mode whose outputs are no function of a sample and the parameters.

    Raises:
        OptionsError: naming the layer and the cure.
    """
    for name, layer in model.named_modules():
        if not layer.training:
            continue
        kind = f"{type(layer).__name__} {name!r} in training mode"
        if isinstance(layer, _NormBase) and layer.track_running_stats:
            raise OptionsError(
                f"{kind} mixes the samples of a batch and changes its statistics with every evaluation, so that "
                "residuals have no Jacobian: call model.eval() to train with the statistics held fixed, or use "
                "GroupNorm or LayerNorm"
            )
        if isinstance(layer, _BatchNorm) and vectorized:
            raise OptionsError(
                f"{kind} mixes the samples of a batch: vectorize_jacobian=False takes the Jacobian of the batch as a "
                "whole, and model.eval(), GroupNorm or LayerNorm do not mix"
            )
        dropout = getattr(layer, "p", 0.0) if isinstance(layer, _DropoutNd) else getattr(layer, "dropout", 0.0)
        if isinstance(dropout, float) and dropout > 0:
            raise OptionsError(
                f"{kind} draws random numbers, so that the loss before and after a step could not be compared: call "
                "model.eval(), or set its probability to zero"
            )


def settings(*modules: torch.nn.Module) -> tuple[Any, ...]:
    """Return what tells whether modules still do what they did, but for the values of their tensors.

    These are the plain attributes of all submodules, `training` among them, the identities of all other ones, and which
    parameters are to be trained.
    """
    found: list[Any] = []
    for module in modules:
        for part in module.modules():
            held = part.__dict__
            found += [v if type(v) in _PLAIN else id(v) for v in held.values()]
            params = held["_parameters"].values()
            found += map(id, params)
            found += [p is not None and p.requires_grad for p in params]
            found += map(id, held["_buffers"].values())
    return tuple(found)
