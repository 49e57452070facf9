"""Open every page of the built site in headless Chromium: `python tests/site/check_pages.py SITE [--screenshots DIR]`.

A page fails if it writes an error to the console, asks another host for anything, or misses a file; if a formula is not
typeset or is typeset as an error; if it is wider than the window; or if a picture does not load. Afterwards, the search
has to find something. Before that, a page on which all of this is wrong is opened, and each fault must be noticed.

It stands outside the suite, since it needs the built site, and a browser: `pip install -e ".[site]"` brings Playwright,
which drives the Chromium of the system.
"""

import argparse
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WINDOW = {"width": 1280, "height": 2400}  # so high that a picture of the window shows most of a page
# nobody else can be reached; a route of Playwright's would do as well, but without the browser's cache
ALONE = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
BACKGROUND = ("data", "blob", "about")  # schemes that ask nobody

# what is wrong with the page as it stands, as a list of sentences
LOOK = r"""
async () => {
  await document.fonts.ready;
  const faults = [];
  const formulas = [...document.querySelectorAll(".arithmatex")];
  const raw = formulas.filter((node) => !node.querySelector(".katex"));
  if (raw.length) faults.push(`${raw.length} formulas are not typeset, such as ${raw[0].textContent.slice(0, 80)}`);
  for (const node of document.querySelectorAll(".katex-error")) faults.push(`KaTeX refuses ${node.title}`);

  const skipped = "pre, code, script, style, svg, .katex, .arithmatex";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const found = /\\[()[\]]|\$\$|\$[^$\s][^$]*\$|\\(frac|operatorname|mathbb|mathcal)\b/.exec(walker.currentNode.data);
    if (found && !walker.currentNode.parentElement.closest(skipped)) faults.push(`raw formula ${found[0]}`);
  }
  for (const image of document.images) {
    image.loading = "eager";
    await image.decode().catch(() => faults.push(`no picture at ${image.getAttribute("src")}`));
    if (!image.alt) faults.push(`no words for the picture at ${image.getAttribute("src")}`);
  }
  const page = document.scrollingElement;
  if (page.scrollWidth > page.clientWidth) faults.push(`${page.scrollWidth - page.clientWidth} pixels wider than the window`);
  return { formulas: formulas.length, faults };
}
"""

BROKEN = r"""<!doctype html><title>Broken</title>
<p style="width: 3000px">a raw $x^2$</p> <p>a raw \(y\)</p> <span class="arithmatex">\(z\)</span>
<span class="katex-error" title="\foo">\foo</span> <img src="missing.png">
<script src="https://example.invalid/library.js"></script>
<script>console.error("spoken"); undefined_function()</script>
"""
EXPECTED = (
    *("formulas are not typeset", "KaTeX refuses", "raw formula $x^2$", "raw formula \\(", "no picture"),
    *("wider than the window", "asks example.invalid", "console: spoken", "undefined_function", "404"),
)


class Visitor:
    """A browser window that goes from page to page and notes the faults of each."""

    def __init__(self, window, address):
        self.window, self.address, self.faults = window, address, []
        window.on("console", lambda said: said.type == "error" and self.faults.append(f"console: {said.text}"))
        window.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        window.on("response", lambda got: got.status >= 400 and self.faults.append(f"{got.status} for {got.url}"))
        window.on("request", lambda request: self._asked(request.url))
        window.on("websocket", lambda socket: self._asked(socket.url))

    def _asked(self, url):
        where = urlsplit(url)
        if where.scheme not in BACKGROUND and where.netloc != self.address:
            self.faults.append(f"asks {where.netloc} for {where.path}")

    def open(self, path):
        """Go to a page; return how many formulas it has and the faults, also those that came late from the page before."""
        self.window.goto(f"http://{self.address}/{path}", wait_until="load")
        seen = self.window.evaluate(LOOK)
        self.window.wait_for_timeout(50)  # for events on their way
        faults, self.faults = [*self.faults, *seen["faults"]], []
        return seen["formulas"], faults

    def keep(self, file):
        """Save a picture of the window."""
        self.window.screenshot(path=file, type="jpeg", quality=50)

    def search(self, word):
        """Return how many pages the search of the site finds, which is a worker with a file of its own."""
        self.window.goto(f"http://{self.address}/index.html?q={word}", wait_until="load")
        self.window.wait_for_selector(".md-search-result__item", state="attached", timeout=20_000)
        return self.window.locator(".md-search-result__item").count()


@contextmanager
def served(folder):
    """Serve a folder on a free port of this machine; give the address."""

    class Quiet(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def unnoticed(browser):
    """Return the faults of the broken page that nobody noticed."""
    with TemporaryDirectory() as folder:
        Path(folder, "index.html").write_text(BROKEN, encoding="utf-8")
        with served(folder) as address:
            _, faults = Visitor(browser.new_page(viewport=WINDOW), address).open("index.html")
    return [fault for fault in EXPECTED if not any(fault in found for found in faults)]


def check(site, executable, screenshots):
    """Open every page; return the faults by page, after printing a line for each page that has some."""
    from playwright.sync_api import sync_playwright

    pages = sorted(path.relative_to(site) for path in site.rglob("*.html"))
    began, formulas, wrong = time.perf_counter(), 0, {}
    with (
        sync_playwright() as play,
        play.chromium.launch(executable_path=executable, args=ALONE) as browser,
        served(site) as address,
    ):
        if missed := unnoticed(browser):
            raise RuntimeError(f"on the broken page, these faults were not noticed: {missed}")
        visitor = Visitor(browser.new_page(viewport=WINDOW, reduced_motion="reduce"), address)
        for page in pages:
            number, faults = visitor.open(page.as_posix())
            formulas += number
            if screenshots is not None:
                visitor.keep(screenshots / page.parent / f"{page.stem}.jpg")
            if faults:
                wrong[str(page)] = faults
                print(f"{page}:", *faults, sep="\n    ", flush=True)
        if not visitor.search("Riemannian") or visitor.faults:
            wrong["search"] = visitor.faults or ["the search finds nothing"]
            print("search:", *wrong["search"], sep="\n    ")
    seconds = time.perf_counter() - began
    print(f"{len(pages)} pages, {formulas} formulas, {len(wrong)} pages with faults, {seconds:.0f} s")
    return wrong if formulas else {"site": ["no page has a formula"]}


def main():
    parser = argparse.ArgumentParser(prog="check_pages.py", description=__doc__.split("\n")[0])
    parser.add_argument("site", type=Path, metavar="SITE", help="folder that mkdocs has built")
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="save a picture of each page in DIR")
    parser.add_argument("--browser", metavar="FILE", help=f"the browser; otherwise one of {', '.join(BROWSERS)}")
    parser.add_argument("--if-there-is-a-browser", action="store_true", help="without one, say so and succeed")
    options = parser.parse_args()
    if not (options.site / "index.html").is_file():
        parser.error(f"{options.site} has no index.html; run mkdocs build --site-dir {options.site}")
    executable = options.browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        print(
            "*" * 100,
            "NOT CHECKED: there is no Chromium here, and no page of the site was opened.",
            "*" * 100,
            sep="\n",
        )
        return 0 if options.if_there_is_a_browser else 2
    return int(bool(check(options.site, executable, options.screenshots)))


if __name__ == "__main__":
    sys.exit(main())
