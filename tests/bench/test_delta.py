from types import SimpleNamespace

import pytest

from tlzoo.bench.report.delta_m import deltas


def line(label, sharing, figures):
    cell = SimpleNamespace(module={"sharing": sharing})
    records = [
        SimpleNamespace(
            cell=SimpleNamespace(task="two", seed=seed),
            metrics={"test/accuracy": (a + b) / 2, "test/a": a, "test/b": b, "threads": 1},
        )
        for seed, (a, b) in enumerate(figures)
    ]
    return SimpleNamespace(label=label, cell=cell, records=records)


def table(*lines, kind="multitask"):
    section = SimpleNamespace(title="sees all", lines=lines)
    return SimpleNamespace(title="two", group=SimpleNamespace(kind=kind), lines=list(lines), sections=[section])


SINGLE = line("single task", "none", [(0.5, 0.8), (0.4, 0.8)])
EQUAL = line("equal", "hard", [(0.6, 0.8), (0.4, 0.6)])


def test_gains_over_single_task_runs_of_the_same_seed():
    found = deltas(table(SINGLE, EQUAL, line("none yet", "hard", [])), None)
    assert found.header == ("method", "libmtl", "nash_mtl", "interval (libmtl)")
    ((title, rows),) = found.sections
    assert title == "sees all"
    figures = {row.entries[0].text: [entry.number for entry in row.entries[1:3]] for row in rows}
    assert figures["single task"] == [0, 0]
    # seed 0: +20 and 0 %, seed 1: 0 and -25 %
    assert figures["equal"] == pytest.approx([(10 - 12.5) / 2, -(10 - 12.5) / 2])
    assert set(figures) == {"single task", "equal"}
    assert "base: single task" in found.notes[0]
    assert rows[1].entries[1].text == "−1.25"


def test_a_single_run_has_no_interval_and_a_seed_without_base_no_figure():
    longer = line("longer", "hard", [(0.6, 0.8)])
    rows = deltas(table(line("single task", "none", [(0.5, 0.8)]), longer), None).sections[0][1]
    assert rows[1].entries[3].text == "–"
    other = line("other", "hard", [(0.6, 0.8)])
    other.records[0].cell.seed = 7
    rows = deltas(table(SINGLE, other), None).sections[0][1]
    assert rows[1].entries[1].text == "–"


def test_no_sheet_without_base_or_for_other_kinds():
    assert deltas(table(EQUAL), None) is None
    assert deltas(table(line("single task", "none", []), EQUAL), None) is None
    assert deltas(table(SINGLE, EQUAL, kind="domain"), None) is None


def test_errors_count_the_other_way_round_and_metrics_of_one_task_once():
    base, own = (
        {
            "test/score": s,
            "test/depth": s,
            "test/depth/absolute_error": a,
            "test/depth/relative_error": r,
            "test/kind": k,
        }
        for s, a, r, k in ((0.5, 2.0, 0.4, 0.5), (0.6, 1.0, 0.4, 0.5))
    )
    single, multi = line("single task", "none", [(0, 0)]), line("equal", "hard", [(0, 0)])
    single.records[0].metrics, multi.records[0].metrics = base, own
    rows = deltas(table(single, multi), None).sections[0][1]
    # the absolute error halves (+50 %), the relative one stays: 25 % of depth, nothing of kind
    assert rows[1].entries[1].number == pytest.approx(12.5)
