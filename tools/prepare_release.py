"""Makes a checkout ready to be released from its repository: ``python tools/prepare_release.py REPOSITORY_URL TAG``.

A checkout does not know where it is published. The release workflow does: this fills ``[project.urls]`` and turns the
relative links of README into absolute ones, since an index shows README without the files beside it. It refuses a tag
that disagrees with the version.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["absolute_links", "check_version", "project_urls"]

ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"(!?)\[((?:!\[[^\]]*\]\([^)]*\)|[^\]])*)\]\(([^)\s]+)\)")


def absolute_links(markdown: str, repository: str, tag: str) -> str:
    """Return the text with its relative links pointing to the files of ``tag``, images to their raw bytes.

    >>> absolute_links("[a](docs/a.md) ![b](b.svg) [c](#c)", "https://example.org/o/n", "v1")
    '[a](https://example.org/o/n/blob/v1/docs/a.md) ![b](https://example.org/o/n/raw/v1/b.svg) [c](#c)'
    """

    def replaced(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        text = _LINK.sub(replaced, text)  # a badge is an image within a link
        if re.match(r"[a-z]+:|#", target):
            return f"{image}[{text}]({target})"
        if target.startswith("../../"):  # a page of the host beside the files, such as ../../actions
            return f"{image}[{text}]({repository}/{target.removeprefix('../../')})"
        return f"{image}[{text}]({repository}/{'raw' if image else 'blob'}/{tag}/{target})"

    return _LINK.sub(replaced, markdown)


def project_urls(pyproject: str, repository: str, tag: str) -> str:
    """Return the text of pyproject.toml with a table ``[project.urls]``.

    Raises:
        ValueError: it has one already.
    """
    if "[project.urls]" in pyproject:
        raise ValueError("pyproject.toml has [project.urls] already; start from a clean checkout")
    urls = {
        "Homepage": repository,
        "Documentation": f"{repository}/blob/{tag}/docs/index.md",
        "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    table = "\n".join(["[project.urls]", *(f'{name} = "{url}"' for name, url in urls.items())])
    return pyproject.replace("[project.scripts]", f"{table}\n\n[project.scripts]", 1)


def check_version(tag: str, package: str, citation: str, changelog: str) -> None:
    """Refuse a tag that is not the version of the package, of its citation, and of a section of the changelog.

    Raises:
        ValueError: what disagrees.
    """
    version = tag.removeprefix("v")
    wanted = {
        "tlzoo/__init__.py": (package, f'__version__ = "{version}"\n'),
        "CITATION.cff": (citation, f"\nversion: {version}\n"),
        "CHANGELOG.md": (changelog, f"\n## [{version}]"),
    }
    for file, (text, line) in wanted.items():
        if line not in text:
            raise ValueError(f"{file} has no line {line.strip()!r}, which tag {tag} needs; see docs/versioning.md")


def main(repository: str, tag: str) -> None:
    """Check the version, then change README.md, pyproject.toml and CITATION.cff in place."""
    files = {name: ROOT / name for name in ("README.md", "pyproject.toml", "CITATION.cff", "CHANGELOG.md")}
    texts = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    package = (ROOT / "tlzoo" / "__init__.py").read_text(encoding="utf-8")
    check_version(tag, package, texts["CITATION.cff"], texts["CHANGELOG.md"])
    files["README.md"].write_text(absolute_links(texts["README.md"], repository, tag), encoding="utf-8")
    files["pyproject.toml"].write_text(project_urls(texts["pyproject.toml"], repository, tag), encoding="utf-8")
    files["CITATION.cff"].write_text(f"{texts['CITATION.cff']}repository-code: {repository}\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python tools/prepare_release.py REPOSITORY_URL TAG")
    main(*sys.argv[1:])
