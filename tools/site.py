"""Hooks of the documentation site: README.md is its home, and links out of docs/ lead to GitHub."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)\s#]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make README.md the home page, and each runbook a page of the section."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "index.md", content=LINK.sub(from_root, text)))
    return files


def from_root(found: "re.Match[str]") -> str:
    """Return a link of README.md as a page in docs/ writes it."""
    target, anchor = found[1], found[2] or ""
    return f"{target.removeprefix('docs/') if inside(target) else f'../{target}'}{anchor}"


def inside(target: str) -> bool:
    """Say whether a path from the root is a file of the site."""
    return target.startswith("docs/") and (ROOT / target).is_file()


def on_page_markdown(
    markdown: str,
    page: Page,
    config: MkDocsConfig,
    files: Files,  # noqa: ARG001 - mkdocs passes it by name
) -> str:
    """Return the page with links out of docs/, and to folders in it, as links to GitHub."""
    here = PurePosixPath("docs", page.file.src_uri).parent

    def leave(found: "re.Match[str]") -> str:
        path = normpath(str(here / found[1]))
        if path == "README.md":
            return relative_home(page) + (found[2] or "")
        if inside(path) or not (ROOT / path).exists():
            return found[0]  # where nothing exists, the strict build complains
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{config.repo_url}/{kind}/main/{path}{found[2] or ''}"

    return LINK.sub(leave, markdown)


def relative_home(page: Page) -> str:
    """Return the link from a page to the home page."""
    depth = str(page.file.src_uri).count("/")
    return "../" * depth + "index.md"
