"""The table of verdicts is that of the tests' marks."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MARKED = """
import pytest

@pytest.mark.verdict({name!r}, against="the formula", within=1e-6)
def test_it(equal):
    pass
"""


@pytest.fixture(scope="module")
def verdicts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        yield importlib.import_module("verdicts")
        del sys.modules["verdicts"]


def test_the_page_is_that_of_the_marks(verdicts):
    text = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    assert verdicts.refreshed(text) == text, "run python docs/tables.py"


def test_a_mark_is_read_with_its_test(verdicts, tmp_path):
    (tmp_path / "test_a.py").write_text(MARKED.format(name="adaptation/dan"))
    (found,) = verdicts.verdicts(tmp_path)
    assert (found.method, found.against, found.within) == ("adaptation/dan", "the formula", 1e-6)
    assert found.test == "test_a.py::test_it"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MARKED.format(name="adaptation/dam"), "no method of the registry"),
        (MARKED.format(name="adaptation/dan").replace("1e-6", "CLOSE"), "write out CLOSE"),
        (MARKED.format(name="adaptation/dan").replace("against=", "to="), "expected against and within"),
    ],
)
def test_a_wrong_mark_is_an_error(verdicts, tmp_path, text, message):
    (tmp_path / "test_a.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        verdicts.verdicts(tmp_path)
