"""What a suite costs, counted by hand."""

from dataclasses import replace

import pytest

from tlzoo.bench import short_runs
from tlzoo.bench.cell import Cell
from tlzoo.bench.pass_times import PassTimes, pass_times
from tlzoo.bench.price import prices
from tlzoo.bench.protocols.settings import CHECKPOINTS
from tlzoo.bench.suite_reader import list_suites, load_suite
from tlzoo.cli import main
from tlzoo.data.datasets.dense_maps import TARGETS

APART = {"task": "office31:dslr->amazon", "seed": 0}
SUITE = {
    "suite": "toy",
    "seeds": 3,
    "groups": [
        {
            "title": "pictures",
            "kind": "domain",
            "tasks": ["office31:amazon->webcam", "office31:webcam->amazon"],
            "backbones": ["lenet"],
            "methods": ["source_only", "dann", "shot", "tent", "target_only"],
            "budget": {"steps": 10, "batch_size": 4},
        },
    ],
}


def test_a_step_passes_a_batch_of_every_domain_that_a_method_sees():
    (price,) = prices(load_suite(SUITE), throughput=2.0)
    assert price.cells == price.runs == 30
    # source only 1, DANN 2, SHOT 1, target only 1, a source model for SHOT and TENT 1; TENT itself trains on nothing
    steps = {"source_only": 1, "dann": 2, "shot": 1, "target_only": 1, "source model": 1}
    assert price.seconds == pytest.approx(3 * 2 * 10 * 4 * sum(steps.values()) / 2.0)
    assert "2 tasks x 1 backbone x 5 rows x 3 seeds = 30 cells" in str(price)
    assert "without the answers at checkpoints" in str(price)


@pytest.mark.parametrize(("tuned_on", "runs"), [(None, 120), ({"seed": 0}, 60), (APART, 50)])
def test_a_search_is_counted(tuned_on, runs):
    group = {**SUITE["groups"][0], "trials": 4, **({"tuned_on": tuned_on} if tuned_on else {})}
    (price,) = prices(load_suite({**SUITE, "groups": [group]}), throughput=1.0)
    (once,) = prices(load_suite(SUITE), throughput=1.0)
    assert price.runs == runs
    assert price.seconds == pytest.approx(once.seconds * runs / 30)


@pytest.mark.data
def test_data_at_hand_add_the_answers():
    group = {**SUITE["groups"][0], "tasks": ["digits:optdigits->mnist5k"]}
    suite = load_suite({**SUITE, "groups": [group]})
    (price,) = prices(suite, throughput=1.0)
    assert "without the answers" not in str(price)
    pictures = 539 + 3500 + 1500  # held-out source, target training and test
    assert price.seconds == pytest.approx(3 * (10 * 4 * 6 + CHECKPOINTS * 5 * pictures / 3))


def test_networks_are_measured_on_the_spot():
    group = {**SUITE["groups"][0], "methods": ["source_only", "target_only"]}
    (price,) = prices(load_suite({**SUITE, "groups": [group]}))
    own = price.times["lenet"]
    assert own.train > own.answer > 0
    assert price.seconds == pytest.approx(3 * 2 * 10 * 4 * 2 * own.train)


def test_the_command_needs_no_data(capsys):
    assert main(["bench", "plan", "office31", "--throughput", "1000"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert "6 tasks x 1 backbone x 11 rows x 3 seeds = 198 cells; 64 hours" in first
    assert "108 cells" in second
    assert "universal" in third
    assert main(["bench", "plan", "office-caltech10"]) == 0
    assert capsys.readouterr().out.count("not priced: its data are not here: office-caltech10.yaml") == 5
    assert main(["bench", "plan", "office-caltech10", "--throughput", "1000"]) == 0
    assert "not priced: its cells are run in small, which needs the data and no --throughput" in capsys.readouterr().out
    assert main(["bench", "plan", "office31", "--throughput", "0"]) == 2


def test_every_suite_has_a_plan(monkeypatch):
    monkeypatch.setattr("tlzoo.bench.price.pass_times", lambda *_, **__: PassTimes(train=0.001, answer=0.0003))
    for name in list_suites():
        assert all(price.cells > 0 for price in prices(load_suite(name), answers=False))


def test_another_accelerator_is_refused_before_anything_is_measured(capsys, monkeypatch):
    assert main(["bench", "plan", "quickstart", "--accelerator", "gpu"]) == 2
    assert "accelerator 'gpu'" in capsys.readouterr().err
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["bench", "plan", "quickstart", "--accelerator", "cuda"]) == 2
    assert "torch finds no such device here; give --throughput" in capsys.readouterr().err


def test_rows_that_try_settings_cost_each_of_them():
    """Their own candidates, where no search of the group counts them."""
    group = {
        **SUITE["groups"][0],
        "methods": ["source_only", {"method": "dann", "candidates": {"weight": [0.5, 1, 2]}}],
    }
    (price,) = prices(load_suite({**SUITE, "groups": [group]}), throughput=1.0)
    assert price.seconds == pytest.approx(3 * 2 * 10 * 4 * (1 + 3 * 2))


def test_networks_of_several_tasks_are_measured_with_what_shares_them(monkeypatch):
    seen = []

    def times(_name, row, *, targets, **_):
        seen.append((row.module.get("sharing"), row.module["decoder"], list(targets)))
        return PassTimes(train=3.0 if row.module.get("sharing") == "none" else 1.5, answer=0.5)

    monkeypatch.setattr("tlzoo.bench.price.pass_times", times)
    group = {
        "title": "maps",
        "kind": "multitask",
        "tasks": ["nyuv2"],
        "backbones": ["segnet"],
        "methods": [
            {"method": "equal", "label": "single task", "module": {"sharing": "none"}},
            {"method": "fixed", "candidates": {"weights": [[1, 1, 1], [2, 1, 1]]}},
            "equal",
            "pcgrad",
        ],
        "budget": {"steps": 10, "batch_size": 2},
        "module": {"decoder": "conv"},
    }
    (price,) = prices(load_suite({**SUITE, "groups": [group]}), answers=False)
    assert seen == [
        (None if each is None else each, "conv", ["segmentation", "depth", "normal"]) for each in ("none", None)
    ]
    # PCGrad has a backward pass for each of three tasks: .5 + 3 x 1
    assert price.seconds == pytest.approx(3 * 10 * 2 * (3.0 + 2 * 1.5 + 1.5 + 3.5))


def test_a_step_with_decoders_is_measured():
    module = {"sharing": "mtan", "decoder": "conv", "backbone_settings": {"image_size": 32, "widths": [2] * 5}}
    group = {**SUITE["groups"][0], "kind": "multitask", "tasks": ["nyuv2"], "methods": ["equal"], "module": module}
    (row,) = load_suite({**SUITE, "groups": [group]}).groups[0].rows
    own = pass_times("segnet", row, accelerator="cpu", throughput=None, targets=TARGETS["nyuv2"])
    assert own.train > own.answer > 0


COSTS = {"fixed": 2.0, "steps": 0.1, "episodes": 0.01, "trial": 0.5}


@pytest.fixture
def costs(monkeypatch):
    """Cells cost what they are said to, and are not run."""

    def timed(cell):
        tried = short_runs._tries(cell)
        attempt = COSTS["trial"] + COSTS["steps"] * cell.budget["steps"]
        return COSTS["fixed"] + tried * attempt + COSTS["episodes"] * cell.budget["episodes"]

    monkeypatch.setattr(short_runs, "_timed", timed)
    return timed


@pytest.mark.parametrize(
    ("candidates", "search", "tries"),
    [
        ({}, {}, 1),
        ({"a": [1, 2, 3], "b": [1, 2]}, {}, 6),
        ({"a": [1, 2, 3], "b": [4, 5, 6]}, {"trials": 3}, 3),
    ],
)
def test_a_cell_is_priced_by_smaller_ones(costs, candidates, search, tries):
    cell = Cell(
        kind="episode",
        task="t",
        method="oneshot/protonet",
        candidates=candidates,
        search=search,
        budget={"steps": 5000, "episodes": 1000, "way": 5},
    )
    assert short_runs._tries(cell) == tries
    found = short_runs.row_cost(cell, costs(short_runs._shortened(cell, 1)))
    assert found.of(cell, tasks=1, backbones=1, seeds=1) == pytest.approx(costs(cell))
    assert found.of(cell, tasks=2, backbones=1, seeds=3) == pytest.approx(6 * costs(cell))
    if search:  # tuned on one seed, the others take its settings
        once = costs(replace(cell, candidates={}))
        tuned = replace(cell, search={**search, "tuned_on": {"seed": 0}})
        assert found.of(tuned, tasks=2, backbones=1, seeds=3) == pytest.approx(2 * costs(cell) + 4 * once)
        tuned = replace(cell, search={**search, "tuned_on": {"seed": 0, "task": "other"}})
        assert found.of(tuned, tasks=2, backbones=1, seeds=3) == pytest.approx(costs(cell) + 5 * once)


def test_a_cell_whose_unit_is_beyond_the_limit_is_run_no_further(costs):
    cell = Cell(kind="episode", task="t", method="oneshot/protonet", budget={"steps": 1, "episodes": 20})
    unit = costs(short_runs._shortened(cell, 1))
    found = short_runs.measure_rows([cell], limit=unit / 2, tasks=1, backbones=1, seeds=1)
    assert found.seconds == pytest.approx(20 * unit)
    assert found.seconds >= costs(cell)


def test_rows_beyond_the_limit_cost_the_mean_of_the_others(costs):
    cells = [
        Cell(kind="episode", task="t", method=method, budget={"steps": 100, "episodes": 100})
        for method in ("oneshot/protonet", "oneshot/bd_cspn")
    ]
    found = short_runs.measure_rows(cells, limit=-1.0, tasks=1, backbones=1, seeds=3)
    assert (found.rows, found.measured) == (2, 1)
    assert found.seconds == pytest.approx(2 * 3 * costs(cells[0]))
    assert found.extraction == 0
