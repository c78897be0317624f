"""The documentation site builds, and its links lead to pages and headings that exist."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/policy-report-exporter/policy-report-exporter"


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("id", "name"):
            self.anchors.add(given.get(name) or "")
        for name in ("href", "src"):
            if link := given.get(name):
                self.links.append(link)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def read(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in site.glob("**/*.html")}


def test_every_link_inside_the_site_leads_to_a_page_and_a_heading(site: Path) -> None:
    pages = read(site)
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchors = pages[target].anchors if target in pages else {""}
            if not target.exists() or unquote(parts.fragment) not in anchors | {"__skip"}:
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_every_link_into_the_repository_leads_to_a_file(site: Path) -> None:
    links = {link for page in read(site).values() for link in page.links}
    inside = [re.match(rf"{REPOSITORY}/(?:blob|tree|edit)/main/([^#]*)", link) for link in links]
    found = {match[1] for match in inside if match}
    assert len(found) > 10
    assert not {path for path in found if not (ROOT / path).exists()}


def test_the_readme_is_the_home_page_and_asks_for_nothing_elsewhere(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "next-to-kube-prometheus-stack" in text
    loaded = re.findall(
        r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="(https?:[^"]+)', text
    )
    assert not loaded
