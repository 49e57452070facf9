"""Run the benchmarks and print one table: `python -m benchmarks [CASE ...] [--json FILE] [--markdown FILE]`."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, table

CASES = (
    "overhead",
    "batch_rayleigh",
    "memory",
    "spd",
    "manifolds",
    "denoising",
    "riemannian",
    "derivative_free",
    "least_squares",
    "modular",
    "optimizer_step",
    "poincare",
    "networks",
    "compilation",
)
# read by NumPy, MKL and torch as they are opened: their pools of threads would fight each other
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen cases, each in a process of its own; return 1 if one fails or a target is missed."""
    options = _parser().parse_args(arguments)
    found: dict[str, Any] = {"date": machine.today(), "commit": machine.commit(), "rounds": options.rounds}
    found["machine"] = machine.facts()
    print("\n".join(f"{name:<26}{value}" for name, value in found["machine"].items()))
    content: dict[str, Any] = {**found, "rows": [], "failed": {}}
    for name in options.cases or CASES:
        print(f"... {name}", file=sys.stderr, flush=True)
        settings: dict[str, Any] = {"peers": not options.no_peers}
        settings |= {} if options.rounds is None else {"rounds": options.rounds}
        case, _, part = name.partition(":")
        try:
            content["rows"] += run_case(case, settings | ({"only": part} if part else {}))
        except CaseError as error:
            content["failed"][name] = str(error)
        _write(content, options)  # what is there stays, if a later case takes too long
    print("\n" + table.text(content))
    return int(bool(content["failed"]) or any(row["met"] is False for row in content["rows"]))


class CaseError(RuntimeError):
    """A case has not come to its end."""


def run_case(case: str, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a case in a fresh process, whose memory and threads no other case has touched; return its rows.

    Raises:
        CaseError: if it fails; its traceback goes to the error stream.
    """
    command = [sys.executable, "-m", "benchmarks.one", case, json.dumps(settings)]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, cwd=machine.HOME, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise CaseError(said[-1])
    return json.loads(done.stdout)


def _write(content: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json is not None:
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if options.markdown is not None:
        options.markdown.write_text(table.markdown(content), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = f"of {', '.join(CASES)}; none is all; riemannian:PART is a part of that case"
    parser.add_argument("cases", nargs="*", type=_case, metavar="CASE", help=known)
    parser.add_argument("--rounds", type=_positive, help="rounds of timing; quote no figure of fewer than 7")
    parser.add_argument("--no-peers", action="store_true", help="leave other packages out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE as well")
    return parser


def _case(name: str) -> str:
    if name.partition(":")[0] not in CASES:
        raise argparse.ArgumentTypeError(f"no case {name!r}; there are {', '.join(CASES)}")
    return name


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
