"""The gallery: each script runs, has a title, text and figures, and is listed; what its page is made of."""

from pathlib import Path

import gallery
import pytest

from tests.together import together

ROOT = Path(__file__).parents[1]
SCRIPTS = gallery.scripts()


# the site is built of all of them, and a script that fails breaks the build; here are the quickest ones
QUICK = [path for path in SCRIPTS if path.stem in ("max_cut", "pca", "rotations", "sphere_median")]


@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_a_script_runs_and_makes_a_page(path):
    page = gallery.run(path)
    assert len(page.title) > 5 and len(page.summary) > 40 and page.title in page.markdown
    assert page.figures
    for k, figure in enumerate(page.figures):
        assert figure.startswith("<svg") and "\n\n" not in figure.strip()
        assert page.markdown.count(f"<!--figure {path.stem} {k}-->") == 1
    assert "plt.show()" in path.read_text(encoding="utf-8"), "alone, it was to show its figures"


def test_every_script_is_listed():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert len(SCRIPTS) >= 5
    for path in SCRIPTS:
        assert f"gallery/{path.stem}.md" in nav


@together()
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_axis_is_named_and_has_a_title(path):
    source = path.read_text(encoding="utf-8")
    assert "set_title(" in source
    assert "set_xlabel(" in source and "set_ylabel(" in source


SMALL = '''"""A title

Some words. More.

The rest.
"""

# %%
# ## A part
#
# Text with $x$.

import matplotlib.pyplot as plt

x = 2
print("x is", x)
plt.plot([1, x])
plt.show()

# %%
# Only words.

# %%
y = x + 1
'''


def test_cells_become_text_code_output_and_figures(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    page = gallery.run(path)
    assert (page.title, page.summary) == ("A title", "Some words. More.")
    assert page.namespace["y"] == 3
    assert page.markdown.split("\n\n")[:6] == [
        "# A title",
        "Some words. More.",
        "The rest.",
        "## A part",
        "Text with $x$.",
        "```python\nimport matplotlib.pyplot as plt",
    ]
    after = page.markdown[page.markdown.index("plt.show()\n```") :]
    assert after.startswith(
        "plt.show()\n```\n\n```text\nx is 2\n```\n\n<!--figure small 0-->\n\nOnly words.\n\n```python\ny"
    )
    assert len(page.figures) == 1


def test_a_page_is_kept_until_its_script_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "CACHE", tmp_path / "cache")
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    made = gallery.kept(path)
    gallery.kept.cache_clear()
    with monkeypatch.context() as without:
        without.setattr(gallery, "run", None)
        assert gallery.kept(path) == made._replace(namespace={})
    gallery.kept.cache_clear()
    gallery.run.cache_clear()
    path.write_text(SMALL.replace("A title", "Another"))
    assert gallery.kept(path).title == "Another"


def test_an_error_names_file_and_cell(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text('"""A title\n\nWords.\n"""\n\n# %%\n# Text.\n\nx = 1\n1 / 0\n')
    with pytest.raises(RuntimeError, match=r"wrong.py, cell at line 8: ZeroDivisionError") as raised:
        gallery.run(path)
    assert raised.value.__cause__.__traceback__.tb_next.tb_lineno == 10
