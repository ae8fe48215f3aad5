import json

import numpy as np
import pytest

import tlzoo
from tlzoo.bench.exchange import Problem, exchange_of, has_exchange, problem_of
from tlzoo.bench.export import write_metrics
from tlzoo.bench.own_exchange import exchange_suite
from tlzoo.bench.report.exchange_figures import savings_figure, worth_figure
from tlzoo.bench.report.exchange_tables import as_data, currency_line, rate_lines, spelled_rate
from tlzoo.bench.report.terminal import exchange_table
from tlzoo.bench.suite_run import open_suite
from tlzoo.cli import main
from tlzoo.data.catalog import EXTENSIONS
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask

MEANS = np.random.default_rng(0).normal(size=(4, 12))


def examples(count, *, shift, seed):
    labels = np.arange(count) % 4
    noise = np.random.default_rng(seed).normal(size=(count, 12))
    return ExampleSet(
        inputs=(MEANS[labels] + shift + 1.5 * noise).astype(np.float32), modality="features", labels=labels
    )


def own_task(**changes):
    return DomainTask(
        **{
            "name": "own-exchange",
            "class_names": ("a", "b", "c", "d"),
            "source_train": examples(160, shift=0.0, seed=1),
            "source_test": examples(40, shift=0.0, seed=2),
            "target_train": examples(48, shift=0.1, seed=3),
            "target_test": examples(160, shift=0.1, seed=4),
            **changes,
        }
    )


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    tlzoo.register_task("own-exchange", own_task())
    store = tmp_path_factory.mktemp("exchange")
    yield tlzoo.run_suite("exchange-rate", task="own-exchange", store=store, seeds=1, progress=False)
    EXTENSIONS.forget("own-exchange")


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ("emoji/subcategory:a+b->c:draw2", Problem("emoji/subcategory", "c", "draw2")),
        ("emoji/concept:c:draw0:names", Problem("emoji/concept", "c", "draw0")),
        ("folder:amazon->webcam:few", Problem("folder", "webcam")),
        ("reuters-r8", Problem("reuters-r8", "reuters-r8")),
        ("package.module:task:few", Problem("package.module:task", "package.module:task")),
    ],
)
def test_tasks_with_one_test_are_one_problem(task, problem):
    assert problem_of(task) == problem


def test_every_cell_of_ones_own_task_runs(suite):
    assert not suite.failures()
    assert len(suite.store.finished(suite.plan.cells)) == len(suite.plan.cells)


def test_the_source_of_an_easy_shift_is_worth_more_than_one_label(suite):
    (family,) = suite.exchange()
    assert (family.name, family.way, family.tests, family.draws) == ("own-exchange", 4, 1, 1)
    rates = family.overall.rates
    assert rates["another domain's labels (tuned logistic)"].worth > 1
    assert {"source only", "DAN", "DANN", "TENT", "another domain's labels and 1 label"} <= set(rates)
    assert "target only" not in rates
    assert family.currency.startswith(("logistic regression", "nearest centroid"))
    assert (np.diff(family.overall.curve.heights[0]) >= 0).all()


def test_accuracies_are_those_of_the_tables(suite):
    (family,) = suite.exchange()
    for label, rate in family.overall.rates.items():
        own = [
            record.metrics["test/accuracy"]
            for cell, record in suite.store.finished(suite.plan.cells).items()
            if cell.label == label
        ]
        assert rate.accuracy == pytest.approx(np.mean(own), abs=0.004)  # stored scores are rounded


def test_rates_are_stored_shown_and_drawn(suite, tmp_path, monkeypatch):
    # a developer's changes are not committed yet; what is kept in the repository has to be
    monkeypatch.setattr("tlzoo.bench.export._refuse_uncommitted", lambda records: None)  # noqa: ARG005
    write_metrics(tmp_path / "own.json", suite.plan, suite.store)
    (family,) = json.loads((tmp_path / "own.json").read_text())["exchange"]
    assert family == as_data(suite.exchange())[0]
    header, *lines = rate_lines(family)
    assert header == ("way", "labelled examples a class", "accuracy (%)")
    assert len(lines) == len(family["overall"]["rates"])
    assert not any("style" in text for line in lines for text in line)
    assert "the largest class alone has 25.0 %" in currency_line(family)
    assert "one other domain, logistic regression" in exchange_table(family).plain
    for figure in (worth_figure(family), savings_figure(family)):
        figure.savefig(tmp_path / "figure.svg")
        assert (tmp_path / "figure.svg").stat().st_size > 1000


def test_the_report_begins_with_the_rates(suite, tmp_path):
    page = suite.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.index("What each way is worth: own-exchange") < page.index('<nav aria-label="Tables">')
    assert "Worth how many labelled examples a class?" in page


def test_an_unfinished_curve_has_no_rates(suite, tmp_path):
    empty = open_suite("exchange-rate", task="own-exchange", store=tmp_path)
    assert exchange_of(empty.plan, empty.store) == []
    assert has_exchange(suite.plan)
    assert not has_exchange(open_suite("digits-adaptation", store=tmp_path).plan)


def test_infinite_worths_are_spelled():
    assert spelled_rate({"worth": "<", "low": "<", "high": "<"}, [1, 12]) == "< 1"
    assert spelled_rate({"worth": ">", "low": 9.5, "high": ">"}, [1, 12]) == "> 12 [9.5, > 12]"


def test_the_curve_ends_where_the_smallest_class_does():
    tlzoo.register_task("small-exchange", own_task(target_train=examples(17, shift=0.1, seed=3)))
    rows = exchange_suite("small-exchange")["groups"][0]["methods"]
    assert {row["budget"]["shot"] for row in rows} == {1, 2, 3, 4}


def test_what_cannot_be_converted_is_refused():
    tlzoo.register_task("tiny-exchange", own_task(target_train=examples(5, shift=0.1, seed=3)))
    with pytest.raises(ValueError, match="the curve needs two or more of each"):
        exchange_suite("tiny-exchange")
    with pytest.raises(ValueError, match="--task is for exchange-rate"):
        open_suite("quickstart", task="own-exchange")
    with pytest.raises(ValueError, match="--backbone is for --task"):
        open_suite("exchange-rate", backbone="resnet18")
    with pytest.raises(ValueError, match="no usual frozen network; give --backbone"):
        exchange_suite("watch:1->2")


def test_plan_counts_the_cells_of_ones_own_task(capsys):
    tlzoo.register_task("planned-exchange", own_task())
    assert main(["bench", "plan", "exchange-rate", "--task", "planned-exchange"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Labelled examples: 1 task x 1 backbone x 12 rows x 1 seed = 12 cells")
    assert len(lines) == 3


def test_texts_are_answered_by_their_class_names():
    groups = {group["title"]: group for group in exchange_suite("reuters-r8")["groups"]}
    assert groups["Topics of texts, class names alone"]["tasks"] == ["reuters-r8"]
    assert {group["kind"] for group in groups.values()} == {"episode", "zeroshot"}
