"""Few shots beside class texts in the harness: the suite in small, base to new, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

import tlzoo
from tlzoo.bench.protocols.episode import EpisodeProtocol
from tlzoo.bench.protocols.image_text import ImageTextProtocol
from tlzoo.bench.suite_reader import find_suite
from tlzoo.types import Sees

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    suite = yaml.safe_load(find_suite("aligned-fewshot").read_text(encoding="utf-8"))
    first, last = suite["groups"][0], suite["groups"][-1]
    for group in (first, last):
        group["budget"] |= {"episodes": 20}
    first["methods"] = [{"method": "protonet"}, {"method": "text_only"}, {"method": "tip_adapter_f"}]
    last["methods"] = [{"method": "text_only"}, {"method": "gda"}]
    small = {**suite, "groups": [first, last], "trials": 2}
    return tlzoo.run_suite(small, store=tmp_path_factory.mktemp("store"), executor="in_process", progress=False)


def cell_of(run, method, *, new):
    return next(cell for cell in run.plan.cells if cell.method.endswith(method) and bool(cell.budget.get("new")) is new)


def test_the_suite_runs_in_small(run):
    assert not run.failures()
    frame = run.to_dataframe()
    assert len(frame) == 5
    assert frame["test/accuracy"].between(0.05, 1).all()
    both = frame.dropna(subset=["test/harmonic"])
    assert len(both) == 2
    harmonic = 2 * both["test/base"] * both["test/new"] / (both["test/base"] + both["test/new"])
    np.testing.assert_allclose(both["test/harmonic"], harmonic, rtol=1e-6)
    # both halves have as many queries
    np.testing.assert_allclose(both["test/accuracy"], (both["test/base"] + both["test/new"]) / 2, rtol=1e-6)


def test_new_classes_are_answered_by_their_text_alone(run):
    stored = run.store.finished(run.plan.cells)
    alone, fitted = (stored[cell_of(run, name, new=True)].metrics for name in ("text_only", "gda"))
    assert alone["test/new"] == fitted["test/new"]
    assert alone["test/base"] != fitted["test/base"]


def test_the_receipt_says_what_joined_the_encoders(run):
    record = run.store.finished(run.plan.cells)[cell_of(run, "text_only", new=False)]
    expected = {Sees.SOURCE_LABELS, Sees.VALIDATION_LABELS, Sees.CLASS_DESCRIPTIONS}
    assert expected <= set(record.receipt["sees"])
    assert record.receipt["scale"] > 0


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("text_only", {"module": {}}, "lacks a text encoder"),
        ("text_only", {"module": {"texts": "sentence:minilm", "join": "glue"}}, "join"),
        ("text_only", {"module": {"texts": "sentence:minilm", "templates": ["cat"]}}, "expected one {}"),
    ],
)
def test_what_a_cell_lacks_is_said(run, method, changes, message):
    with pytest.raises(ValueError, match=message):
        ImageTextProtocol(replace(cell_of(run, method, new=False), **changes), lambda _: None)


def test_new_classes_need_supported_ones_and_a_method_that_reads_texts(run):
    cell = cell_of(run, "text_only", new=True)
    with pytest.raises(ValueError, match="leave two or more with support"):
        _ = ImageTextProtocol(replace(cell, budget={**cell.budget, "new": 15}), lambda _: None).new
    other = replace(cell_of(run, "protonet", new=False), budget=cell.budget)
    with pytest.raises(ValueError, match="cannot answer new classes"):
        EpisodeProtocol(other, lambda _: None)
