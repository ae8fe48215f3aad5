"""Which row gains are measured against."""

import math

from tlzoo.bench import Cell
from tlzoo.bench.baselines import Rival, absent_baselines, reference
from tlzoo.bench.report.lines import Line
from tlzoo.bench.store import Record
from tlzoo.stats import summary


def cell(method, kind="domain", **more):
    return Cell(kind=kind, task="a", method=method, **more)


def test_the_best_baseline_by_held_out_data_is_the_reference():
    weak = Rival(cell("adaptation/source_only"), held_out=0.7, test=0.56)
    strong = Rival(cell("adaptation/linear_classifier"), held_out=0.74, test=0.55)
    method = Rival(cell("adaptation/dan"), held_out=0.9, test=0.9)
    assert reference("domain", [method, weak, strong]) == (2, "best of 2 baselines on held-out data")
    assert reference("domain", [weak, method]) == (0, "the only baseline")
    assert reference("domain", [method]) is None


def test_without_held_out_figures_the_bar_is_the_highest():
    rows = [
        Rival(cell("oneshot/protonet", "episode"), held_out=math.nan, test=0.6),
        Rival(cell("oneshot/whitening", "episode"), held_out=0.8, test=0.8),
    ]
    assert reference("episode", rows) == (1, "best of 2 baselines on the test")
    unfinished = Rival(cell("oneshot/logistic", "episode"), held_out=math.nan, test=math.nan)
    assert reference("episode", [unfinished, rows[1]]) == (1, "the only baseline")


def test_a_single_task_network_is_no_reference():
    tuned = {"candidates": {"weights": [[1, 1], [2, 1]]}}
    alone = Rival(cell("multitask/fixed", "multitask", module={"sharing": "none"}, **tuned), 0.9, 0.9)
    shared = Rival(cell("multitask/fixed", "multitask", **tuned), 0.8, 0.8)
    assert reference("multitask", [alone, shared]) == (1, "the only baseline")


def test_what_a_table_could_be_measured_against_is_named():
    frozen = [cell("adaptation/source_only", module={"frozen": True})]
    assert absent_baselines("domain", frozen) == ["adaptation/linear_classifier (tuned)"]
    assert absent_baselines("domain", [cell("adaptation/source_only")]) == []
    assert absent_baselines("domain", [*frozen, cell("adaptation/linear_classifier", module={"frozen": True})]) == []


def test_texts_alone_need_no_baseline_that_learns_from_other_classes():
    texts = [cell("zeroshot/cosine", "zeroshot"), cell("zeroshot/csls", "zeroshot")]
    assert absent_baselines("zeroshot", texts) == ["zeroshot/ridge"]
    assert absent_baselines("zeroshot", texts, learns=False) == []


def test_source_data_tell_nothing_of_a_figure_that_needs_unknown_classes():
    own = cell("adaptation/source_only")
    record = Record(
        cell=own,
        metrics={"test/h_score": 0.0},
        curves={},
        receipt={"validation_scores": [0.7]},
        series={},
        splits={},
        provenance={},
    )
    line = Line(label="source only", cell=own, values={0: 0.0}, summary=summary([0.0]), records=(record,))
    assert line.held_out("accuracy") == 0.7
    assert math.isnan(line.held_out("h_score"))


def test_an_open_set_table_is_measured_against_one_that_says_unknown():
    never = cell("adaptation/source_only", module={"frozen": True})
    by_entropy = cell("adaptation/source_only", module={"frozen": True}, settings={"unknown": 0.5})
    assert absent_baselines("domain", [never], rejects=True) == ["adaptation/source_only with unknown: 0.5"]
    assert absent_baselines("domain", [never, by_entropy], rejects=True) == []
