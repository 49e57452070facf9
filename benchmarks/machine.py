"""What a figure depends on: versions, the machine without its name, day and commit."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.timing import installed

HOME = Path(__file__).resolve().parent.parent
# the last ones: whom the cases compare with
PACKAGES = ("torch", "numpy", "pymanopt", "geoopt", "scipy", "torchimize", "torchzero", "torch-levenberg-marquardt")
MISSING = "not installed"


def facts() -> dict[str, str]:
    """Return versions and machine, by name."""
    load = f"{os.getloadavg()[0]:.2f} before the first case" if hasattr(os, "getloadavg") else "unknown"
    return {
        "python": platform.python_version(),
        **{name: installed(name) or MISSING for name in PACKAGES},
        "processor": f"{_processor()}, {os.cpu_count()} cores, 1 thread used",
        "system": f"{platform.system()} {platform.machine()}",
        "load": load,
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), "") or platform.processor() or "unknown"


def today() -> str:
    """Return the date, in UTC."""
    return datetime.now(timezone.utc).date().isoformat()


def commit() -> str:
    """Return the commit that is measured, and whether files differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=HOME, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "manopt_torch", "benchmarks")
        return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
