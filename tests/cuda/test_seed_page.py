"""The calls of torchimize's page, as the documentation has them: one constant says where they run."""

import re
from pathlib import Path

import pytest
import torch

from tests.cuda.where import DEVICE, THERE_IS_ONE

if not THERE_IS_ONE:
    pytest.skip("there is no CUDA here; the page itself runs on the CPU", allow_module_level=True)

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "from-torchimize.md"


def test_the_page_runs_on_the_device():
    section = PAGE.read_text(encoding="utf-8").partition("## On a GPU")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```python[^\n]*\n(.*?)```", section, re.DOTALL)
    block, changed = re.subn(r"^DEVICE = .*$", f'DEVICE = "{DEVICE}"', block, flags=re.MULTILINE)
    names = {"torch": torch}
    exec("from manopt_torch.compat.torchimize import lsq_gna, lsq_lma\n" + block, names)
    assert changed == 1 and names["coeffs_list"][-1].device.type == DEVICE
