"""Every example in README and on the pages of docs/ is run as a reader would run it."""

import doctest
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytorch_lightning.utilities.seed import isolate_rng

from tlzoo.bench.suite_reader import load_suite
from tlzoo.cli import main
from tlzoo.registry import resolve_name

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]

FENCE = re.compile(r"^(<!-- runs on data -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block, with its place in the page."""

    page: Path
    language: str
    text: str
    line: int
    data: bool

    @property
    def name(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page):
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, match[2], match[3], text[: match.start(3)].count("\n") + 1, bool(match[1]))
        for match in FENCE.finditer(text)
    ]


def everywhere(*languages):
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


def run_python(block, namespace):
    # line numbers of a traceback are then those of the page
    source = "\n" * (block.line - 1) + block.text
    exec(compile(source, str(block.page), "exec"), namespace)


def run_session(block, namespace):
    test = doctest.DocTestParser().get_doctest(block.text, namespace, block.name, str(block.page), block.line)
    report = []
    runner = doctest.DocTestRunner()
    failed, tried = runner.run(test, out=report.append, clear_globs=False)
    assert tried > 0
    assert not failed, "".join(report)
    namespace.update(test.globs)


def executed(page):
    found = [block for block in blocks(page) if block.language in ("python", "pycon")]
    return found, any(block.data for block in found)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page.relative_to(ROOT)), marks=[pytest.mark.data] if executed(page)[1] else [])
        for page in PAGES
        if executed(page)[0]
    ],
)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "example"}
    with isolate_rng():
        for block in executed(page)[0]:
            {"python": run_python, "pycon": run_session}[block.language](block, namespace)
    assert not list(tmp_path.iterdir()), "an example leaves files behind"


def test_readme_shows_both_ways_in():
    first, second, *_ = [block.text for block in blocks(PAGES[0]) if block.language == "python"]
    assert "tlzoo.DomainConfusion.for_data(" in first
    assert '"dann"' in first
    assert "from tlzoo.methods.confusion import CDAN" in second
    assert "lightning" not in second
    assert max(text.count("\n") for text in (first, second)) <= 15


SUITES = [
    block
    for block in everywhere("yaml")
    if block.text.startswith("suite:") and block.page.name != "bring-your-own.md"  # test_bring_your_own runs those
]


@pytest.mark.parametrize("block", SUITES, ids=lambda block: block.name)
def test_a_suite_on_a_page_is_one_that_runs(block, tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(block.text, encoding="utf-8")
    for group in load_suite(str(path)).groups:
        assert {resolve_name(row.method.value) for row in group.rows} >= {
            "adaptation/source_only",
            "adaptation/target_only",
        }
        assert group.kind == "domain"


COMMANDS = [
    pytest.param(line.split("#")[0].split()[1:], id=line.split("#")[0].strip())
    for block in everywhere("console")
    for line in block.text.splitlines()
    if line.startswith("$ ")
]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_on_a_page_exists(words, capsys):
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return
    assert words[0] == "tlzoo"
    options = [word for word in words[1:] if word.startswith("--")]
    depth = 2 if words[1] in ("bench", "data") else 1
    with pytest.raises(SystemExit) as end:
        main([*words[1 : 1 + depth], "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in options)


def test_links_within_the_repository_lead_somewhere():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists() and not target.startswith("../../")  # a page of the host, not a file
    ]
    assert not broken


# the project's own settings; tlzoo itself is checked by `make lint`, here the examples are
MYPY = [
    *("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache" / "examples")),
    *("--follow-imports=silent", "--allow-redefinition", "--local-partial-types", "--untyped-calls-exclude=torch"),
]


def written(page):
    """Return the Python of a page as one module, each line where the page has it."""
    lines = []
    for block in blocks(page):
        if block.language == "python":
            code = block.text
        elif block.language == "pycon":
            code = "".join(example.source for example in doctest.DocTestParser().get_examples(block.text))
        else:
            continue
        lines += [""] * max(block.line - 1 - len(lines), 0) + code.splitlines()
    return "\n".join(lines) + "\n"


def test_every_example_passes_mypy_strict(tmp_path):
    modules = {page: written(page) for page in PAGES}
    for page, code in modules.items():
        if code.strip():
            name = str(page.relative_to(ROOT)).replace("/", "_").replace("-", "_").replace(".md", ".py")
            (tmp_path / name).write_text(code, encoding="utf-8")
    files = sorted(map(str, tmp_path.glob("*.py")))
    assert len(files) > 8
    command = [sys.executable, "-m", "mypy", *MYPY, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout.replace(f"{tmp_path}/", "")


def test_lines_of_a_page_keep_their_numbers():
    text = PAGES[0].read_text(encoding="utf-8").splitlines()
    code = written(PAGES[0]).splitlines()
    place = text.index("import pytorch_lightning as pl")
    assert code[place] == text[place]
