"""Run the benchmarks and print one table: `python -m benchmarks [CASE ...] [--json FILE]`."""

import argparse
import json
import os
import platform
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

CASES = (
    "overhead",
    "batch_rayleigh",
    "memory",
    "spd",
    "manifolds",
    "denoising",
    "riemannian",
    "least_squares",
    "modular",
    "networks",
)
PEERS = ("pymanopt", "geoopt")


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen cases; return 1 if a target is missed."""
    options = _parser().parse_args(arguments)
    # before numpy and torch are opened: their pools of threads would fight each other
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    import torch

    torch.set_num_threads(1)
    machine = _machine()
    print("\n".join(f"{name:<12} {value}" for name, value in machine.items()))
    table: list[Any] = []
    for case in options.cases or CASES:
        print(f"... {case}", file=sys.stderr, flush=True)
        settings: dict[str, Any] = {} if options.rounds is None else {"rounds": options.rounds}
        case, _, part = case.partition(":")
        if part:
            settings["only"] = part
        table += import_module(f"benchmarks.{case}").rows(peers=not options.no_peers, **settings)
    print("\n" + written(table))
    if options.json is not None:
        content = {"machine": machine, "rows": [row.as_dict() for row in table]}
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    return int(any(row.met is False for row in table))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = f"of {', '.join(CASES)}; none is all; riemannian:PART is a part of that case"
    parser.add_argument("cases", nargs="*", type=_case, metavar="CASE", help=known)
    parser.add_argument("--rounds", type=_positive, help="rounds of timing; quote no figure of fewer than 7")
    parser.add_argument("--no-peers", action="store_true", help="leave other packages out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to FILE as well")
    return parser


def _case(name: str) -> str:
    if name.partition(":")[0] not in CASES:
        raise argparse.ArgumentTypeError(f"no case {name!r}; there are {', '.join(CASES)}")
    return name


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def _machine() -> dict[str, str]:
    """Say what a figure depends on, without naming the machine."""
    from benchmarks.timing import installed

    found = {name: installed(name) for name in ("torch", "numpy", *PEERS)}
    facts = {name: number or 'not installed: pip install -e ".[bench]"' for name, number in found.items()}
    load = f"{os.getloadavg()[0]:.2f} before the first case" if hasattr(os, "getloadavg") else "unknown"
    return {
        "python": platform.python_version(),
        **facts,
        "processor": f"{platform.machine()}, {os.cpu_count()} cores, 1 thread used",
        "load": load,
    }


def written(table: list[Any]) -> str:
    """Lay the rows out as text, case by case, a note below its row."""
    head = ("", "median (least - most)", "ratio (least - most)", "compared with", "target")
    cells = [_cells(row) for row in table]
    widths = [max(len(line[n]) for line in (head, *cells)) for n in range(len(head))]

    def line(parts: tuple[str, ...]) -> str:
        return "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()

    lines, case = [line(head), "-" * (sum(widths) + 2 * len(widths) - 2)], ""
    for row, parts in zip(table, cells, strict=True):
        lines += [row.case] * (row.case != case) + [line(parts)] + [f"    {row.note}"] * bool(row.note)
        case = row.case
    return "\n".join(lines)


def _cells(row: Any) -> tuple[str, ...]:
    def spread(figure: Any, unit: str = "") -> str:
        return f"{figure.median:.3g}{unit} ({figure.least:.3g} - {figure.most:.3g})"

    target = ""
    if row.target is not None:
        verdict = {True: "met", False: "MISSED", None: "not judged"}[row.met]
        target = f"{row.target[0]} {row.target[1]:g}: {verdict}"
    ratio = "" if row.ratio is None else spread(row.ratio)
    return f"  {row.subject}", spread(row.figure, f" {row.unit}"), ratio, row.peer, target


if __name__ == "__main__":
    sys.exit(main())
