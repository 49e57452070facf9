"""Run one case in this process and print its rows as JSON: `python -m benchmarks.one CASE [SETTINGS]`.

`SETTINGS` is a JSON object of keywords for the `rows` of the case. Whatever the case itself prints goes to the error
stream.
"""

import json
import os
import sys
from contextlib import redirect_stdout
from importlib import import_module


def main(case: str, settings: str = "{}") -> None:
    """Run the case and print its rows."""
    with redirect_stdout(sys.stderr):
        run = import_module(f"benchmarks.{case}").rows
        import torch

        from benchmarks.timing import Setting

        torch.set_num_threads(1)
        Setting.apart = hasattr(os, "fork")  # Windows has none: there all run in this process
        table = run(**json.loads(settings))
    print(json.dumps([row.as_dict() for row in table]))


if __name__ == "__main__":
    main(*sys.argv[1:])
