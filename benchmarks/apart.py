"""Contenders in processes of their own, which run one at a time, when they are told to.

Ours and the peer's share no heap, no caches and no settings then, and yet take turns on the same core. A process is
forked from the one that made the data, so that nothing is made twice and what is compiled is there.
"""

import gc
import io
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch


class Contender:
    """What is timed, in this process.

    Args:
        run: what to call.
        calls: how often in one sample, at least.
        lasting: how long a sample is, at least, in CPU seconds.
    """

    def __init__(self, run: Callable[[], Any], calls: int, lasting: float) -> None:
        self.run, self.calls, self.lasting = run, calls, lasting
        self.result: Any = None

    def warm_up(self) -> None:
        """Call it once, untimed."""
        self.result = self.run()

    def turn(self) -> float:
        """Return the CPU seconds of a call."""
        gc.collect()  # nobody pays for the rubbish of another
        began, count, spent = time.process_time(), 0, 0.0
        while count < self.calls or spent < self.lasting:
            self.result = self.run()
            count, spent = count + 1, time.process_time() - began
        return spent / count

    def end(self) -> Any:
        """Return what the last call returned."""
        return self.result


class ContenderApart:
    """The same in a process of its own, forked from this one.

    Raises:
        RuntimeError: by any method, if the contender failed; with its traceback.
    """

    def __init__(self, run: Callable[[], Any], calls: int, lasting: float) -> None:
        self._here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_serve, args=(there, Contender(run, calls, lasting)), daemon=True)
        self._process.start()
        there.close()

    def warm_up(self) -> None:
        """Call it once, untimed."""
        self._ask("warm_up")

    def turn(self) -> float:
        """Return the CPU seconds of a call."""
        return self._ask("turn")

    def end(self) -> Any:
        """End the process, and return what the last call returned there."""
        result = self._ask("end")
        self._process.join()
        return result

    def _ask(self, what: str) -> Any:
        self._here.send(what)
        # tensors come as bytes: shared memory would have to outlive the process
        done, answer = torch.load(io.BytesIO(self._here.recv_bytes()), weights_only=False)
        if not done:
            raise RuntimeError(f"a contender failed:\n{answer}")
        return answer


def _serve(parent: Connection, contender: Contender) -> None:
    """Do what the parent asks for, up to the end or the first failure."""
    if hasattr(os, "sched_setaffinity"):  # all on one core: another may be shared with strangers, and slower
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    what = ""
    while what != "end":
        what = parent.recv()
        try:
            answer = (True, getattr(contender, what)())
        except Exception:  # the parent is to see whatever it is
            answer = (False, traceback.format_exc())
            what = "end"
        packed = io.BytesIO()
        torch.save(answer, packed)
        parent.send_bytes(packed.getvalue())
