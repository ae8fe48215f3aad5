"""What committed receipts say, held against what today's code would say of the same cells."""

import json
from pathlib import Path

import pytest

from tlzoo.bench.protocols.settings import REVISIONS
from tlzoo.data import load_task
from tlzoo.registry import method_class
from tlzoo.types import Sees

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
FILES = sorted(RESULTS.glob("*.json"))
SOURCE = {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS}


def stated(cell):
    """Return what a receipt of the cell says the method sees, as protocols state it; None where that takes a run."""
    method = method_class(cell["method"])
    shown, budget, module = set(), cell.get("budget", {}), cell.get("module", {})
    if cell["kind"] == "episode" and (budget.get("steps") or module.get("training", "none") != "none"):
        shown |= SOURCE
    if cell["kind"] in ("episode", "multitask") and cell.get("candidates"):
        shown.add(Sees.VALIDATION_LABELS)
    if cell["kind"] == "zeroshot" and cell.get("candidates") and load_task(cell["task"]).train is None:
        shown.add(Sees.VALIDATION_LABELS)
    if cell["kind"] == "domain" and (cell["task"].endswith("shot") or module.get("shots")):
        shown.add(Sees.TARGET_LABELS)
    if ":literature" in cell["task"] and Sees.TARGET_INPUTS in method.sees:
        shown.add(Sees.TEST_INPUTS)  # both whole domains
    if module.get("transform"):
        shown |= method_class(module["transform"]).sees & {Sees.SOURCE_INPUTS, Sees.TARGET_INPUTS}
    if "+" in cell["method"] or method.parts or cell["kind"] == "finetuning":
        return None  # narrowed to that of its parts, or to what pretraining leaves, when it is built
    return sorted({*method.sees, *shown})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_receipts_of_this_revision_say_what_todays_code_says(file):
    cells = json.loads(file.read_text("utf-8"))["cells"]
    page = (RESULTS.parents[1] / "docs" / "results" / f"{file.stem}.md").read_text("utf-8")
    assert f"committed {file.stem}" in page  # whose tables say of older cells that they are older
    for cell in cells:
        said, known = sorted(cell["receipt"]["sees"]), stated(cell) if file.stem != "text-zeroshot" else None
        older = cell.get("revisions", {}).get("protocol", 0) < REVISIONS[cell["kind"]]
        assert older or known is None or said == known, f"{cell['label']} of {cell['task']}: {said}, today {known}"


def test_the_statement_follows_the_rule_that_older_receipts_lack():
    """FEAT trains over episodes of base classes: a receipt without them is older than the rule."""
    trained = {"kind": "episode", "method": "oneshot/feat", "task": "t", "budget": {"steps": 300}}
    assert set(stated(trained)) >= SOURCE
    assert Sees.SOURCE_LABELS not in stated({**trained, "method": "oneshot/protonet", "budget": {}})
