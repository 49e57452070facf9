r"""A network as a function of its parameters: its outputs, and rows of the Jacobian of its residuals."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch.func import functional_call, jvp, vjp, vmap

from manopt_torch.errors import OptionsError
from manopt_torch.training.batch_tree import arguments, leaves, mapped, rebuilt
from manopt_torch.training.losses import Loss
from manopt_torch.training.recording import Function, Recordings, play
from manopt_torch.training.selection import Columns


class Rows(NamedTuple):
    """What is known of a range of samples."""

    jacobian: torch.Tensor  # shape: (rows, columns)
    residuals: torch.Tensor  # shape: (rows,)
    outputs: tuple[torch.Tensor, ...] = ()  # the leaves, samples on the first axis


class Network:
    """Evaluate a network on a batch of samples, by recordings of the operations where there are any.

    Jacobians are those of single samples by `torch.func`: reverse mode, with one pass for each residual of a sample,
    or forward mode, with one for each column, whichever are fewer; `vmap` takes the samples, and the passes, at once.

    Args:
        model: the network.
        loss: its loss.
        names: of the parameters to train.
        recordings: what is known of former batches of such shapes.
        columns: the parameters to differentiate by.
        inputs: of the samples.
        targets: of the samples.
        settings: what recordings depend on besides tensors.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        loss: Loss,
        names: Sequence[str],
        recordings: Recordings,
        columns: Columns,
        inputs: Any,
        targets: Any,
        settings: Any = None,
    ) -> None:
        self.model, self.loss, self.columns, self.inputs, self.targets = model, loss, columns, inputs, targets
        self._names = [names[k] for k in columns.tensors]
        free, fixed = recordings.remembered((columns.tensors, settings), self._found)
        self.free: list[Any] = [p.detach() for p in free]
        self._fixed, self._rest = list(fixed), [t.detach() for t in fixed.values()]
        self._chosen = [] if columns.chosen is None else [columns.chosen]
        self._data = [*leaves(inputs), *leaves(targets)]
        signatures = tuple(map(_signature, (*self.free, *self._rest, *self._chosen)))
        key = (columns.tensors, settings, signatures, tuple(map(_signature_of_a_sample, self._data)))
        self._kept = recordings.under(key)

    def _found(self) -> tuple[Sequence[torch.Tensor], dict[str, torch.Tensor]]:
        """Find the tensors to differentiate by and all others of the model."""
        state = dict(self.model.named_parameters())
        free = [state.pop(name) for name in self._names]
        return free, state | dict(self.model.named_buffers())

    def rows(self, start: int, stop: int) -> Rows:
        """Return what is known of a range of samples."""
        values = [*self.free, *self._rest, *self._chosen, *(t.narrow(0, start, stop - start) for t in self._data)]
        found, r, *outputs = play(self._kept, stop - start, self._samples, values)
        return Rows(found, r, tuple(outputs))

    def outputs(self, free: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Return the leaves of the outputs of the batch for other parameters."""
        values = [*free, *self._rest, *leaves(self.inputs)]
        return play(self._kept, self._data[0].shape, self._batch, values)

    def outputs_by_model(self, free: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Do the same without a recording."""
        return self._batch(*free, *self._rest, *leaves(self.inputs))

    def _batch(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        free, rest, data = self._parted(values)
        return tuple(leaves(self._called(free, rest, rebuilt(self.inputs, data))))

    def _called(self, free: Sequence[torch.Tensor], rest: dict[str, torch.Tensor], inputs: Any) -> Any:
        args, kwargs = arguments(inputs)
        return functional_call(self.model, rest | dict(zip(self._names, free, strict=True)), args, kwargs)

    def _parted(self, values: Sequence[torch.Tensor]) -> Any:
        n, m = len(self.free), len(self.free) + len(self._fixed)
        return values[:n], dict(zip(self._fixed, values[n:m], strict=True)), iter(values[m:])

    def _samples(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return Jacobian, residuals and outputs of the samples one by one."""
        free, rest, data = self._parted(values)
        chosen = next(data) if self._chosen else None
        x, y = rebuilt(self.inputs, data), rebuilt(self.targets, data)

        def one(x: Any, y: Any) -> tuple[torch.Tensor, ...]:
            x, y = mapped(_alone, x), mapped(_alone, y)

            def residuals(*free: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
                out = self._called(free, rest, x)
                return self.loss.residuals(out, y).reshape(-1), tuple(leaves(out))

            return _differentiated(residuals, free, chosen)

        return tuple(t.flatten(0, 1) for t in _explained(vmap(one), x, y))


def _differentiated(
    residuals: Callable[..., Any], free: Sequence[torch.Tensor], chosen: torch.Tensor | None
) -> tuple[torch.Tensor, ...]:
    """Return the Jacobian of one sample's residuals, shape `(residuals, columns)`, the residuals and the outputs."""
    r, back, out = vjp(residuals, *free, has_aux=True)  # pyright: ignore[reportAssignmentType]
    size = sum(p.numel() for p in free)
    width = size if chosen is None else chosen.shape[0]
    if r.shape[0] <= width:
        if r.shape[0] == 1:
            parts = [g.reshape(1, -1) for g in back(torch.ones_like(r))]
        else:
            parts = [g.flatten(1) for g in vmap(back)(torch.eye(len(r), dtype=r.dtype, device=r.device))]
        rows = torch.cat(parts, 1)
        return (rows if chosen is None else rows.index_select(1, chosen), r, *out)
    basis = torch.eye(size, dtype=r.dtype, device=r.device)
    basis = basis if chosen is None else basis.index_select(0, chosen)

    def along(direction: torch.Tensor) -> torch.Tensor:
        tangents = direction.split([p.numel() for p in free])
        tangents = tuple(t.view_as(p) for t, p in zip(tangents, free, strict=True))
        return jvp(lambda *free: residuals(*free)[0], tuple(free), tangents)[1]

    return (vmap(along)(basis).mT, r, *out)


def batch_jacobian(
    model: torch.nn.Module,
    residuals: Callable[[Any], torch.Tensor],
    names: Sequence[str],
    inputs: Any,
    wanted: slice,
) -> torch.Tensor:
    """Return rows of the Jacobian of a batch's residuals, shape `(rows, entries)`, by one backward pass each."""
    state = dict(model.named_parameters())
    free = {name: state[name].detach().requires_grad_() for name in names}
    with torch.enable_grad():
        args, kwargs = arguments(inputs)
        r = residuals(functional_call(model, free, args, kwargs)).reshape(-1)[wanted].unbind()
    leaf = list(free.values())
    rows = [torch.autograd.grad(one, leaf, retain_graph=True, materialize_grads=True) for one in r]
    return torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])


def _alone(t: torch.Tensor) -> torch.Tensor:
    return t.unsqueeze(0)


def _signature(t: torch.Tensor) -> Any:
    return t.shape, t.stride(), t.dtype, t.device


def _signature_of_a_sample(t: torch.Tensor) -> Any:
    return t.shape[1:], t.stride(), t.dtype, t.device


def _explained(compute: Function, *values: Any) -> tuple[torch.Tensor, ...]:
    """Call a function; say what to do about what `vmap` cannot take."""
    try:
        return compute(*values)
    except RuntimeError as error:
        if "randomness" in str(error):
            raise OptionsError(
                "the model draws random numbers, so that residuals and their Jacobian would belong to different "
                "draws: train it in evaluation mode, model.eval(), or without that layer"
            ) from error
        if "memory" in str(error):
            raise
        # the batch as a whole has gone through the model before
        raise OptionsError(
            "the model does what torch.func.vmap cannot take, see the error above: vectorize_jacobian=False does "
            "without it, at the price of one backward pass a residual"
        ) from error
