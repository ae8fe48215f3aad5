import numpy as np
import pytest

from tlzoo.bench import Outcome
from tlzoo.bench.cell import EPISODE_ACCURACY
from tlzoo.bench.compare import compare
from tlzoo.bench.plan import make_plan
from tlzoo.bench.report import build_tables
from tlzoo.bench.store import Store
from tlzoo.bench.suite_reader import load_suite

SUITE = """\
suite: small
seeds: 5
groups:
  - title: Adaptation
    kind: domain
    tasks: ["a->b", "c->d"]
    OPTIONS
    methods:
      - source_only
      - dan
      - {method: dann, label: one}
      - {method: dann, label: two, settings: {hidden: 7}}
      - target_only
"""
NOISE = np.random.default_rng(0).normal(0, 0.01, size=(2, 5, 5))
LEVEL = {"source only": 0.5, "DAN": 0.6, "one": 0.6, "two": 0.6, "target only": 0.9}


@pytest.fixture
def compared(tmp_path, protocol, home, loaded):  # noqa: ARG001  # the last two: the world it runs in
    store = Store(tmp_path / "runs")

    def compared(first, second, *, text=SUITE, options="percent: true", skip=()):
        path = tmp_path / "small.yaml"
        path.write_text(text.replace("OPTIONS", options))
        plan = make_plan(load_suite(str(path)), protocol)
        for cell in plan.cells:
            if (cell.label, cell.seed) in skip:
                continue
            noise = NOISE[int(cell.task == "c->d"), cell.seed, list(LEVEL).index(cell.label)]
            value = LEVEL[cell.label] + noise
            store.write(cell, Outcome(metrics={"test/accuracy": value}))
        return compare(build_tables(plan, store), first, second)

    return compared


def test_the_answer_is_one_sentence_with_its_evidence(compared):
    (found,) = compared("dan", "source only")
    assert found.title == "Adaptation"
    assert found.answer.startswith("Yes, DAN is better than source only: +")
    assert found.answer.endswith("Student's t over 5 pairs of runs, each the mean of 2 tasks.")
    text = "\n".join(found.evidence)
    for part in (
        "paired t-test over runs: p = ",
        "Wilcoxon's signed-rank test over runs: p = 0.0625 (of 5 pairs it cannot be below 0.0625)",
        "too sure of itself below about 30 pairs",
        "Wilcoxon's signed-rank test over the 2 tasks' means: p = 0.5",
        "by task (paired t-tests, Holm): better on 2 of 2, worse on 0",
        "a run of DAN beats a run of source only with probability 1.00, 95 % interval [1.00, 1.00]",
        "they do not see the same: DAN sees source inputs, source labels, target inputs; source only sees",
    ):
        assert part in text


def test_the_other_way_round_is_no(compared):
    (found,) = compared("source only", "dan")
    assert found.answer.startswith("No, source only is worse than DAN: −")


def test_what_cannot_be_told_is_a_tie(compared):
    (found,) = compared("one", "two")
    assert found.answer.startswith("No difference between one and two can be told: ")
    assert "they do not see the same" not in "\n".join(found.evidence)


def test_lower_may_be_better(compared):
    (found,) = compared("dan", "source_only", options="better: lower")
    assert found.answer.startswith("No, DAN is worse than source only: +")
    (found,) = compared("source_only", "dan", options="better: lower")
    assert found.answer.startswith("Yes, source only is better than DAN: −")


def test_one_run_of_several_tasks_is_compared_over_tasks(compared):
    text = SUITE.replace("seeds: 5", "seeds: 1")
    (found,) = compared("dan", "source only", text=text)
    assert found.answer.endswith("Student's t over 2 tasks, one run each.")
    assert any(line.startswith("paired t-test over tasks") for line in found.evidence)


def test_only_runs_that_both_have_count_and_the_gap_is_said(compared):
    (found,) = compared("dan", "source only", skip=[("DAN", 0), ("source only", 1)])
    assert "over 3 pairs of runs" in found.answer
    assert "DAN: 4 of 5 runs finished" in found.evidence
    (found,) = compared("target only", "two", text=SUITE.replace("suite: small", "suite: small # 2"))
    assert "target only trains on target labels: a bound, not a rival" in found.evidence


def test_nothing_in_common_cannot_be_told(compared):
    (found,) = compared("dan", "source only", skip=[("DAN", seed) for seed in range(5)])
    assert found.answer == "Whether DAN is better than source only cannot be told: they have no finished run in common."


@pytest.mark.usefixtures("home", "loaded")
def test_single_runs_are_compared_episode_by_episode(tmp_path, protocol):
    path = tmp_path / "episodes.yaml"
    group = "title: T\n    kind: episode\n    tasks: [episodes]\n    methods: [protonet, simpleshot]\n"
    path.write_text(f"suite: e\ngroups:\n  - {group}")
    plan, store = make_plan(load_suite(str(path)), protocol), Store(tmp_path / "runs")
    base = np.random.default_rng(0).uniform(size=200)
    for cell in plan.cells:
        figures = base + 0.05 * (cell.method == "oneshot/simpleshot")
        predictions, splits = {EPISODE_ACCURACY: figures}, {EPISODE_ACCURACY: "list"}
        store.write(cell, Outcome(metrics={"test/accuracy": 0.5}, predictions=predictions, splits=splits))
    (found,) = compare(build_tables(plan, store), "simpleshot", "protonet")
    assert found.answer.startswith("Yes, SimpleShot is better than ProtoNet: +5.0 points")
    assert "over 200 pairs of episodes" in found.answer


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("dna", "dan", "unknown row 'dna'"),
        ("dan", "DAN", "are both the row 'DAN'"),
        ("dann", "dan", "no group has one row 'dann' and one row 'dan'"),
    ],
)
def test_mistakes_are_named(compared, first, second, message):
    with pytest.raises(ValueError, match=message):
        compared(first, second)
