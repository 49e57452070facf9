"""Questions to the host that loops ask, one an iteration: how many problems go on. `masked` hands them on.

They are counted, so that tests can tell how often a loop has asked.
"""

import torch
from torch import Tensor

from manopt_torch._host import host_read

# On the meta device nothing can be read: loops are told "active" twice, then "done", so that all code paths run.
_META_CYCLE = 3
# masks so short are looked at entry by entry in less time than a torch call takes
_FEW = 32
_meta_calls = [0]
_reads = [0]


def note_read() -> None:
    """Count one more question."""
    _reads[0] += 1


def reads() -> int:
    """Return how many times loops have asked the host since the process began; tests compare differences."""
    return _reads[0]


def any_active(mask: Tensor | bool) -> bool:
    """Ask the host whether any problem is still active: the only value that loops ever read."""
    return count_active(mask) > 0


def count_active(mask: Tensor | bool) -> int:
    """Ask the host how many problems are active."""
    if isinstance(mask, bool):
        return int(mask)
    if mask.is_meta:
        _meta_calls[0] += 1
        return 0 if _meta_calls[0] % _META_CYCLE == 0 else mask.numel()
    note_read()
    with host_read():
        if mask.dim() == 1 and len(mask) <= _FEW:
            return mask.tolist().count(True)
        return int(torch.count_nonzero(mask).item())
