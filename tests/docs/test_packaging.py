"""What is released holds what it should, and says where it comes from."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

import tlzoo

ROOT = Path(__file__).parents[2]
PLACE = "https://example.org/owner/name"


@pytest.fixture(scope="module")
def release():
    spec = importlib.util.spec_from_file_location("prepare_release", ROOT / "tools" / "prepare_release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Return the names in an sdist, without the folder that holds them all."""
    tree, out = tmp_path_factory.mktemp("tree") / "tlzoo", tmp_path_factory.mktemp("dist")
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "_build", "runs", "*.egg-info", "lightning_logs")
    shutil.copytree(ROOT, tree, ignore=unwanted)
    shutil.copy(ROOT / ".pre-commit-config.yaml", tree)
    (tree / "tests" / "__pycache__").mkdir(exist_ok=True)
    (tree / "tests" / "__pycache__" / "conftest.pyc").write_bytes(b"")
    code = f"from setuptools import build_meta; print(build_meta.build_sdist({str(out)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning: no files found matching" not in done.stderr + done.stdout
    (file,) = out.iterdir()
    with tarfile.open(file) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_an_sdist_holds_tests_docs_changelog_and_citation(sdist):
    wanted = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile"}
    wanted |= {"tests/conftest.py", "tests/docs/test_packaging.py", "docs/conf.py", "docs/index.md", "docs/tables.py"}
    wanted |= {"docs/figures/five_types.svg", "benchmarks/README.md", "benchmarks/results/quickstart.json"}
    wanted |= {"tlzoo/py.typed", "tlzoo/bench/suites/quickstart.yaml", "requirements-learn2learn.txt"}
    assert not wanted - sdist


def test_an_sdist_holds_every_source_file_and_nothing_built(sdist):
    files = {str(path.relative_to(ROOT)) for top in ("tlzoo", "tests") for path in (ROOT / top).rglob("*.py")}
    assert not files - sdist
    assert not [name for name in sdist if name.endswith(".pyc") or "_build" in name or "__pycache__" in name]


def test_a_release_links_to_the_files_of_its_tag(release):
    text = release.absolute_links((ROOT / "README.md").read_text(encoding="utf-8"), PLACE, "v9.9.9")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert all(target.startswith(("https://", "#")) for target in targets)
    files = [
        target.removeprefix(f"{PLACE}/") for target in targets if target.startswith((f"{PLACE}/blob", f"{PLACE}/raw"))
    ]
    assert files
    for file in files:
        form, _, path = file.split("/", 2)
        assert (ROOT / path.partition("#")[0]).exists(), file
        assert (form == "raw") == path.endswith(".svg")


def test_a_badge_is_an_image_within_a_link(release):
    badge = "[![test](../../actions/workflows/test.yml/badge.svg)](../../actions/workflows/test.yml)"
    page = f"{PLACE}/actions/workflows/test.yml"
    assert release.absolute_links(badge, PLACE, "v1") == f"[![test]({page}/badge.svg)]({page})"


def test_a_release_fills_in_where_it_comes_from(release):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    urls = tomllib.loads(release.project_urls(text, PLACE, "v9.9.9"))["project"]["urls"]
    assert set(urls) == {"Homepage", "Documentation", "Changelog", "Issues"}
    assert urls["Changelog"] == f"{PLACE}/blob/v9.9.9/CHANGELOG.md"
    with pytest.raises(ValueError, match=r"has \[project.urls\] already"):
        release.project_urls(release.project_urls(text, PLACE, "v1"), PLACE, "v1")


def test_a_tag_agrees_with_version_citation_and_changelog(release):
    package, citation, changelog = '__version__ = "1.2.0"\n', "\nversion: 1.2.0\n", "\n## [1.2.0]: 2030-01-01"
    release.check_version("v1.2.0", package, citation, changelog)
    with pytest.raises(ValueError, match=r"tlzoo/__init__.py has no line '__version__ = \"1.3.0\"'"):
        release.check_version("v1.3.0", package, citation, changelog)
    with pytest.raises(ValueError, match=r"CHANGELOG.md has no line"):
        release.check_version("v1.2.0", package, citation, "\n## [Unreleased]")
    own = (ROOT / "tlzoo" / "__init__.py").read_text(encoding="utf-8")
    release.check_version(
        f"v{tlzoo.__version__}", own, (ROOT / "CITATION.cff").read_text(encoding="utf-8"), f"\n## [{tlzoo.__version__}]"
    )


def test_every_local_link_of_the_guides_leads_somewhere():
    for page in (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("https://", "#", "../../")):
                assert (ROOT / target.partition("#")[0]).exists(), f"{page.name}: {target}"
