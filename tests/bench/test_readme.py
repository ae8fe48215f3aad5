import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("benchmarks_readme", ROOT / "benchmarks/readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in {"tables", "results"} & set(sys.modules):
        del sys.modules[name]


def test_the_tables_are_those_of_the_committed_results(script):
    text = script.README.read_text(encoding="utf-8")
    assert script.refreshed(text) == text, "run python benchmarks/readme.py"


def test_a_page_without_marks_is_refused(script):
    with pytest.raises(ValueError, match="put both lines where the tables go"):
        script.refreshed("# Benchmarks\n")
