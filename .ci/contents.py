"""Check what the built distributions hold: `python .ci/contents.py DIST`, a folder with one wheel and one sdist."""

import sys
import tarfile
import zipfile
from pathlib import Path

IN_WHEEL = ["__init__.py", "py.typed", "references.bib", "datasets/iris.csv", "datasets/nist/Misra1a.dat"]
IN_SDIST = ["pyproject.toml", "README.md", "LICENSE", "CITATION.cff", "conftest.py", "mkdocs.yml"]
IN_SDIST += ["tests/test_layout.py", "docs/index.md", "docs/references.bib"]
SOURCES = {str(path) for path in Path("manopt_torch").rglob("*") if path.suffix in (".py", ".csv", ".dat", ".typed")}

(wheel,), (sdist,) = (list(Path(sys.argv[1]).glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
with tarfile.open(sdist) as archive:
    in_sdist = {name.partition("/")[2] for name in archive.getnames()}

missing = (SOURCES | {f"manopt_torch/{name}" for name in IN_WHEEL}) - in_wheel
missing |= (SOURCES | set(IN_SDIST)) - in_sdist
other = {name for name in in_wheel if name.split("/")[0] != "manopt_torch" and ".dist-info/" not in name}
other |= {name for name in in_wheel | in_sdist if "__pycache__" in name or name.endswith(".pyc")}
if missing or other:
    sys.exit(f"missing: {sorted(missing)}\nnot to be there: {sorted(other)}")
print(f"{wheel.name}: {len(in_wheel)} files, {wheel.stat().st_size >> 10} KiB")
print(f"{sdist.name}: {len(in_sdist)} files, {sdist.stat().st_size >> 10} KiB")
