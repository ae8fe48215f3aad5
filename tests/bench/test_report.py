import csv
import io
import json
import math
import re

import numpy as np
import pytest

from tlzoo.bench import Outcome
from tlzoo.bench.baselines import MissingBaselineError
from tlzoo.bench.cell import EPISODE_ACCURACY
from tlzoo.bench.export import write_metrics, write_parquet
from tlzoo.bench.plan import make_plan
from tlzoo.bench.report import build_auxiliary_tables, build_tables, render
from tlzoo.bench.report.conclusions import findings
from tlzoo.bench.report.page import render_page
from tlzoo.bench.report.plots import plots
from tlzoo.bench.store import Store
from tlzoo.bench.suite_reader import load_suite
from tlzoo.types import Sees

SUITE = """\
suite: small
question: Does <it> help?
seeds: 3
groups:
  - title: Adaptation
    kind: domain
    tasks: [TASKS]
    backbones: [lenet]
    columns: [test/top5, size]
    methods: [source_only, dan, deep_coral, dann, target_only]
"""
ACCURACY = {"source only": 0.5, "DAN": 0.7, "Deep CORAL": 0.69, "DANN": 0.6, "target only": 0.9}
SPREAD = {0: -0.01, 1: 0.0, 2: 0.01}


@pytest.fixture
def planned(tmp_path, protocol, home, loaded):  # noqa: ARG001  # the last two: the world it runs in
    def planned(text=SUITE, tasks='"a->b"'):
        path = tmp_path / "small.yaml"
        path.write_text(text.replace("TASKS", tasks))
        return make_plan(load_suite(str(path)), protocol)

    return planned


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def write(store, plan, *, skip=(), fail=(), **changes):
    """Store made-up outcomes; DAN and Deep CORAL cross over between seeds."""
    for cell in plan.cells:
        if cell.label in skip:
            continue
        if cell.label in fail:
            store.write_failure(cell, f"Traceback\n  File x\nValueError: {cell.label} | broke & fell")
            continue
        accuracy = ACCURACY[cell.label] + SPREAD[cell.seed] * (-2 if cell.label == "Deep CORAL" else 1)
        values = {
            "metrics": {"test/accuracy": accuracy, "test/top5": 0.99, "size": 12345},
            "receipt": {"sees": plan.sees[cell.method], "declared": True},
            "curves": {"step": [1, 2, 3], "test/accuracy": [0.1, 0.2, accuracy]},
            "series": {"gamma": {"gamma": [0.0, 1.0], "seen": [0.5, 0.6], "unseen": [0.4, 0.3]}},
        }
        store.write(cell, Outcome(**{**values, **changes}), {"commit": "abc123", "seconds": 1.0, "began": "2026"})


HEALTH = {"health/diversity": [1.0, 0.5, 0.02], "health/a_distance": [1.0, 0.5, 0.1]}


def test_a_collapsed_run_is_called_so(planned, store):
    plan = planned()
    curves = {"step": [1, 2, 3], "test": [0.1, 0.2, 0.3]}
    write(store, plan, curves={**curves, "health/diversity": [0.0, 0.5, 0.9]})
    (table,) = build_tables(plan, store)
    assert "collapsed" not in render([table], "markdown")
    for cell in plan.cells:
        if cell.label == "DANN" and cell.seed < 2:
            receipt = {"sees": plan.sees[cell.method], "declared": True}
            store.write(cell, Outcome(metrics={"test/accuracy": 0.1}, curves={**curves, **HEALTH}, receipt=receipt))
    (table,) = build_tables(plan, store)
    assert "| DANN (collapsed (seed 0, 1): nearly all target data is answered with one class) |" in render(
        [table], "markdown"
    )
    averaged = render(build_tables(planned(tasks='"a->b", "c->d"'), store), "terminal")
    assert "DANN: collapsed (2 runs): nearly all" in averaged


def test_health_and_conflicts_stand_in_small_plots_and_not_by_themselves(planned, store):
    plan = planned()
    curves = {"step": [1, 2, 3], "test": [0.1, 0.2, 0.3], "train/cosine_a_b": [0.0, 0.1, 0.2], **HEALTH}
    write(store, plan, curves=curves)
    captions = [plot.caption for plot in plots(build_tables(plan, store)[0], store)]
    assert [caption.split(" ")[0] for caption in captions if "mean over runs" in caption] == [
        "test",
        "Health",
        "Cosines",
    ]
    (health,) = [plot.svg for plot in plots(build_tables(plan, store)[0], store) if plot.caption.startswith("Health")]
    assert "proxy A-distance" in health
    assert "spread of answers over classes" in health
    assert health.count(">DANN<") == 1  # one legend for all


def test_features_before_stand_beside_those_after(planned, store):
    plan = planned()
    random = np.random.default_rng(0)
    picture = {
        "embedding": random.normal(size=(20, 2)),
        "embedding_side": np.repeat([0, 1], 10),
        "embedding_class": np.tile([0, 1], 10),
    }
    write(store, plan, predictions=picture)
    (drawn,) = [p for p in plots(build_tables(plan, store)[0], store) if p.caption.startswith("Features before")]
    titles = [drawn.svg.index(f">{name}<") for name in ("source only (before)", "DAN", "target only")]
    assert titles == sorted(titles)
    assert "colors: classes" in drawn.caption
    write(store, plan, skip=("source only",), predictions={**picture, "embedding_class": np.arange(20)})
    assert any("source and target." in p.caption for p in plots(build_tables(plan, store)[0], store))


def test_auxiliary_tables_are_lines_of_figures(planned, store):
    plan = planned()
    write(store, plan)
    tables = build_tables(plan, store)
    lines = list(csv.DictReader(io.StringIO(render(tables, "csv-auxiliary", build_auxiliary_tables(tables, store)))))
    assert {line["table"].split(" · ")[0] for line in lines} >= {"Cost and calibration"}
    (steps,) = [line for line in lines if line["row"] == "DAN" and line["column"] == "steps"]
    assert (float(steps["value"]), steps["text"]) == (3.0, "3")


def test_settings_chosen_on_validation_labels_are_marked_and_not_set_apart(planned, store):
    """They are for a method that sees no label at all."""
    assert {"source labels", "target labels", "validation labels"} <= {str(each) for each in Sees}
    plan = planned()
    write(store, plan)
    for cell in plan.cells:
        if cell.label in ("DAN", "DANN"):
            labels = plan.sees[cell.method] if cell.label == "DAN" else ["target inputs"]
            receipt = {"sees": sorted([*labels, "validation labels"]), "declared": True}
            store.write(cell, Outcome(metrics={"test/accuracy": 0.7}, receipt=receipt))
    (table,) = build_tables(plan, store)
    sections = [[line.label for line in section.lines] for section in table.sections]
    assert sections == [["source only"], ["DANN"], ["DAN", "Deep CORAL"], ["target only"]]
    assert table.sections[2].title == "sees source inputs, source labels, target inputs"
    text = render([table], "markdown")
    assert "DAN †" in text
    assert "Deep CORAL †" not in text
    assert "† settings chosen on validation labels" in text
    assert r"DAN \dag{}" in render([table], "latex")


def lines(tables):
    return {line.label: line for table in tables for line in table.lines}


def test_sections_group_by_supervision_and_compare_within(planned, store):
    plan = planned()
    write(store, plan)
    (table,) = build_tables(plan, store)
    assert [[line.label for line in section.lines] for section in table.sections] == [
        ["source only"],
        ["DAN", "Deep CORAL", "DANN"],
        ["target only"],
    ]
    rows = lines([table])
    assert [label for label, line in rows.items() if line.best] == ["DAN"]
    assert [label for label, line in rows.items() if line.tied] == ["Deep CORAL"]
    assert [label for label, line in rows.items() if line.oracle] == ["target only"]
    assert rows["DAN"].summary.mean == pytest.approx(0.7)
    assert rows["DAN"].gain.difference.mean == pytest.approx(0.2)
    assert rows["DAN"].gain.difference.half_width == pytest.approx(0, abs=1e-9)
    assert rows["source only"].gain is None


def test_measured_dependence_that_was_not_declared_gets_a_section_of_its_own(planned, store):
    plan = planned()
    write(store, plan)
    for cell in plan.cells:
        if cell.label == "DAN":
            receipt = {"sees": plan.sees[cell.method], "declared": False}
            store.write(cell, Outcome(metrics={"test/accuracy": 0.99}, receipt=receipt))
    (table,) = build_tables(plan, store)
    (section,) = [s for s in table.sections if s.lines[0].label == "DAN"]
    assert "test inputs (measured, not declared)" in section.sees
    assert not section.lines[0].best
    assert lines([table])["Deep CORAL"].best


@pytest.mark.parametrize(
    ("kind", "methods", "missing"),
    [
        ("domain", "[dan, target_only]", "adaptation/source_only"),
        ("domain", "[dan, source_only]", "adaptation/target_only"),
        ("multitask", "[equal, {method: equal, label: b, module: {sharing: none}}]", "multitask/fixed with candidates"),
        ("multitask", "[{method: fixed, settings: {weights: [1, 1]}}]", "multitask/fixed with candidates"),
        ("multitask", "[{method: fixed, candidates: {weights: [[1, 1]]}}]", "a single-task row"),
        ("episode", "[simpleshot]", "oneshot/protonet"),
        ("zeroshot", "[eszsl]", "zeroshot/cosine"),
        ("finetuning", "[full]", "finetuning/from_scratch"),
    ],
)
def test_a_table_without_its_baselines_is_refused(planned, store, kind, methods, missing):
    task = {"episode": "episodes", "zeroshot": "unseen", "multitask": "two-digits"}.get(kind, '"a->b"')
    text = f"suite: small\ngroups:\n  - title: T\n    kind: {kind}\n    tasks: [{task}]\n    methods: {methods}\n"
    with pytest.raises(MissingBaselineError, match=rf"small.yaml:3: table 'T' has no row .*{re.escape(missing)}"):
        build_tables(planned(text), store)


@pytest.mark.parametrize("baseline", ["cosine", "ridge"])
def test_zero_shot_has_a_baseline_for_each_kind_of_space(planned, store, baseline):
    text = "suite: small\ngroups:\n  - title: T\n    kind: zeroshot\n    tasks: [unseen]\n    methods: [BASE, eszsl]\n"
    (table,) = build_tables(planned(text.replace("BASE", baseline)), store)
    assert table.reference == baseline


def test_failed_and_missing_rows_are_shown_as_such(planned, store):
    plan = planned()
    write(store, plan, fail=["DANN"], skip=["DAN"])
    tables = build_tables(plan, store)
    text = render(tables, "terminal")
    assert "DANN: failed (seed 0, 1, 2): ValueError: DANN | broke & fell" in text
    assert "DAN: not run yet" in text
    assert "failed (seed 0, 1, 2): ValueError: DANN \\| broke & fell" in render(tables, "markdown")
    assert r"ValueError: DANN | broke \& fell" in render(tables, "latex")
    assert "ValueError: DANN | broke &amp; fell" in render_page(plan, store, tables, command="tlzoo")


def test_several_tasks_get_a_table_of_means_and_ranks(planned, store):
    plan = planned(tasks='"a->b", "c->d"')
    write(store, plan)
    mean, first, second = build_tables(plan, store)
    assert (mean.task, first.task, second.task) == (None, "a->b", "c->d")
    rows = lines([mean])
    assert rows["DAN"].summary.mean == pytest.approx(0.7)
    assert rows["DAN"].summary.n == 3
    assert (rows["DAN"].rank, rows["Deep CORAL"].rank, rows["DANN"].rank) == (1.0, 2.0, 3.0)
    assert rows["target only"].rank == 1.0
    assert math.isnan(lines([first])["DAN"].rank)


def test_a_seed_counts_for_the_mean_when_all_its_tasks_are_done(planned, store):
    plan = planned(tasks='"a->b", "c->d"')
    write(store, plan)
    gone = next(cell for cell in plan.cells if cell.label == "DAN" and cell.seed == 1 and cell.task == "c->d")
    (store.root / f"{gone.hash}.json").unlink()
    rows = lines(build_tables(plan, store)[:1])
    assert sorted(rows["DAN"].values) == [0, 2]
    assert "2 of 3" in render(build_tables(plan, store)[:1], "markdown")


def test_single_runs_compare_over_the_same_episodes(planned, store):
    group = "title: T\n    kind: episode\n    tasks: [episodes]\n    methods: [protonet, simpleshot]\n"
    plan = planned(f"suite: small\ngroups:\n  - {group}")
    base = np.random.default_rng(0).uniform(size=200)
    for cell in plan.cells:
        figures = base + (0.05 if cell.method == "oneshot/simpleshot" else 0.0)
        store.write(
            cell,
            Outcome(
                metrics={"test/accuracy": figures.mean(), "test/interval": 0.04},
                predictions={EPISODE_ACCURACY: figures},
                splits={EPISODE_ACCURACY: "list"},
            ),
        )
    gain = lines(build_tables(plan, store))["SimpleShot"].gain
    assert gain.difference.mean == pytest.approx(0.05, abs=1e-3)
    assert gain.difference.half_width < 1e-3
    text = render(build_tables(plan, store), "markdown")
    assert "°" in text
    assert "paired on the same episodes with ProtoNet" in text


MARKDOWN = """\
### Adaptation · a->b · lenet

| method | test/accuracy (%) | std | 95 % interval | runs | trials | gain over source only | test/top5 (%) | size |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
| *sees source inputs, source labels* | | | | | | | | |
| source only | 50.0 | 1.0 | [47.5, 52.5] | 3 | 1 | – | 99.0 | 12,345 |
| *sees source inputs, source labels, target inputs* | | | | | | | | |
| **DAN** | **70.0** | 1.0 | [67.5, 72.5] | 3 | 1 | +20.0 [+20.0, +20.0] | 99.0 | 12,345 |
| Deep CORAL | 69.0 = | 2.0 | [64.0, 74.0] | 3 | 1 | +19.0 [+11.5, +26.5] | 99.0 | 12,345 |
| DANN | 60.0 | 1.0 | [57.5, 62.5] | 3 | 1 | +10.0 [+10.0, +10.0] | 99.0 | 12,345 |
| *sees target inputs, target labels* | | | | | | | | |
| *target only (oracle)* | *90.0* | *1.0* | *[87.5, 92.5]* | *3* | *1* | *+40.0 [+40.0, +40.0]* | *99.0* | *12,345* |

intervals: 95 %, over runs (Student's t); none is over tasks; \
gains: paired on the same seeds with source only, 95 % Student's t; source only: the only baseline; \
best of each section stands out; = marks ties: the paired interval of the difference holds 0; \
the oracle trains on target labels: a bound, not a rival.
"""


def test_markdown(planned, store):
    plan = planned()
    write(store, plan)
    assert render(build_tables(plan, store), "markdown") == MARKDOWN


def test_latex(planned, store):
    plan = planned()
    write(store, plan)
    text = render(build_tables(plan, store), "latex")
    for line in (
        r"\caption{Adaptation $\cdot$ a-$>$b $\cdot$ lenet}",
        r"\begin{tabular}{lrrrrrrrr}",
        r"\multicolumn{9}{l}{\emph{sees source inputs, source labels}} \\",
        r"\textbf{DAN} & \textbf{70.0} & 1.0 & [67.5, 72.5] & 3 & 1 & +20.0 [+20.0, +20.0] & 99.0 & 12,345 \\",
        r"Deep CORAL & 69.0$^{=}$ & 2.0 & [64.0, 74.0] & 3 & 1 & +19.0 [+11.5, +26.5] & 99.0 & 12,345 \\",
    ):
        assert line in text.splitlines()
    assert r"\textcolor{gray}{target only (oracle)}" in text
    assert text.count(r"\midrule") == 3
    assert text.count("{") == text.count("}")


def test_csv_has_the_unrounded_figures(planned, store):
    plan = planned()
    write(store, plan)
    rows = list(csv.DictReader(io.StringIO(render(build_tables(plan, store), "csv"))))
    assert [row["label"] for row in rows] == ["source only", "DAN", "Deep CORAL", "DANN", "target only"]
    assert float(rows[1]["mean"]) == lines(build_tables(plan, store))["DAN"].summary.mean
    assert rows[1]["method"] == "adaptation/dan"
    assert rows[1]["sees"] == "source inputs; source labels; target inputs"
    assert (rows[1]["best"], rows[2]["tied"], rows[4]["oracle"]) == ("1", "1", "1")
    assert rows[0]["gain"] == ""


def test_an_unknown_format_is_named():
    with pytest.raises(ValueError, match="unknown format 'latx'; did you mean 'latex'"):
        render([], "latx")


def test_the_page_answers_and_needs_no_network(planned, store):
    plan = planned()
    write(store, plan, fail=["DANN"])
    page = render_page(plan, store, build_tables(plan, store), command="tlzoo bench run small")
    assert "Does &lt;it&gt; help?" in page
    assert "The baseline, source only, reaches 50.0 %; DAN is the best that sees" in page
    assert "+20.0 points, 95 % interval [+20.0, +20.0]" in page
    assert "tlzoo bench run small" in page
    assert "abc123" in page
    assert all(cell.hash in page for cell in plan.cells)
    links = set(re.findall(r"""(?:src|href)=["']([^"']+)""", page))
    assert all(link.startswith("#") for link in links)
    assert not re.findall(r"@import|url\((?!#)", page)
    assert page.count("<svg") == 3  # intervals, a curve, a series
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_the_same_results_give_the_same_page(planned, store):
    plan = planned()
    write(store, plan)
    pages = {render_page(plan, store, build_tables(plan, store), command="tlzoo") for _ in range(2)}
    assert len(pages) == 1


def test_findings_without_results(planned, store):
    plan = planned()
    (nothing,) = findings(build_tables(plan, store))
    assert nothing.sentence == "The baseline has no result yet, so no gain can be told."
    write(store, plan, skip=["DAN", "Deep CORAL", "DANN", "target only"])
    (alone,) = findings(build_tables(plan, store))
    assert alone.sentence.endswith("no other method has a result yet.")
    assert "<svg" in render_page(plan, store, build_tables(plan, store), command="tlzoo")


def test_parquet_holds_every_figure(planned, store, tmp_path):
    import pandas as pd

    plan = planned()
    write(store, plan)
    assert write_parquet(tmp_path / "out.parquet", plan, store) == 15 * 3
    frame = pd.read_parquet(tmp_path / "out.parquet")
    chosen = frame[(frame.label == "DAN") & (frame.metric == "test/accuracy")]
    assert chosen.value.mean() == pytest.approx(0.7)
    assert set(frame.sees) == {"; ".join(sees) for sees in plan.sees.values()}


def test_the_metrics_file_is_small_and_always_the_same(planned, store, tmp_path):
    plan = planned()
    write(store, plan, metrics={"test/accuracy": 1 / 3, "undefined": math.nan})
    texts = []
    for _ in range(2):
        assert write_metrics(tmp_path / "small.json", plan, store) == 15
        texts.append((tmp_path / "small.json").read_text())
    assert texts[0] == texts[1]
    data = json.loads(texts[0])
    assert data["suite"] == "small"
    assert data["cells"][0]["metrics"] == {"test/accuracy": 0.333333, "undefined": None}
    assert [cell["hash"] for cell in data["cells"]] == [cell.hash for cell in plan.cells]
    assert len(texts[0]) < 15 * 1000


def test_the_metrics_file_says_of_each_row_what_its_table_says(planned, store, tmp_path):
    plan = planned()
    write(store, plan)
    write_metrics(tmp_path / "small.json", plan, store)
    (said,) = json.loads((tmp_path / "small.json").read_text())["tables"]
    (table,) = build_tables(plan, store)
    assert (said["group"], said["reference"]) == (table.group.title, table.reference)
    assert [row["label"] for row in said["rows"]] == [line.label for line in table.lines]
    for row, line in zip(said["rows"], table.lines, strict=True):
        assert row["mean"] == pytest.approx(line.summary.mean, rel=1e-5)
        assert (row["low"], row["high"]) == pytest.approx((line.summary.low, line.summary.high), rel=1e-5)
        if line.gain is not None:
            assert row["gains"][table.reference]["mean"] == pytest.approx(line.gain.difference.mean, rel=1e-5)
        else:
            assert table.reference not in row["gains"]
    assert {row["label"]: row["role"] for row in said["rows"] if row["role"] != "method"}[table.reference] == "baseline"


def test_results_of_uncommitted_code_are_not_exported(planned, store, tmp_path):
    plan = planned()
    write(store, plan)
    store.write(plan.cells[0], Outcome(metrics={"test/accuracy": 0.5}), {"commit": "0123456789ab+"})
    with pytest.raises(ValueError, match=r"1 of 15 cells .* from a checkout with uncommitted changes; commit them"):
        write_metrics(tmp_path / "small.json", plan, store)
    assert not (tmp_path / "small.json").exists()


def test_the_metrics_file_says_of_which_group_a_cell_is_and_how_validators_rank(planned, store, tmp_path):
    plan = planned()
    curves = {"step": [1, 2, 3], "test": [0.1, 0.2, 0.3], "validation/snd": [1.0, 3.0, 2.0]}
    write(store, plan, curves=curves)
    write_metrics(tmp_path / "small.json", plan, store)
    data = json.loads((tmp_path / "small.json").read_text())
    ((group, _),) = plan.groups
    assert {cell["group"] for cell in data["cells"]} == {group.title}
    judged = data["judgements"][group.title]
    assert judged == [{"name": "snd", "within": 0.5, "across": None, "lost": pytest.approx(0.1)}]
