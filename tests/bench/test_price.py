"""What a suite costs, counted by hand."""

import pytest

from tlzoo.bench.price import PassTimes, prices
from tlzoo.bench.protocols.settings import CHECKPOINTS
from tlzoo.bench.suite_reader import list_suites, load_suite
from tlzoo.cli import main

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
    assert not price.counted_answers
    assert "2 tasks x 1 backbone x 5 rows x 3 seeds = 30 cells" in str(price)
    assert "without the answers at checkpoints" in str(price)


@pytest.mark.parametrize(("tuned_on", "runs"), [(None, 120), ({"seed": 0}, 60)])
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
    pictures = 539 + 3500 + 1500  # held-out source, target training and test
    assert price.counted_answers
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
    assert main(["bench", "plan", "emoji-oneshot"]) == 0
    assert "not priced: only groups of kind domain and multitask" in capsys.readouterr().out
    assert main(["bench", "plan", "office31", "--throughput", "0"]) == 2


def test_every_suite_has_a_plan(monkeypatch):
    monkeypatch.setattr("tlzoo.bench.price._measured", lambda *_: PassTimes(train=0.001, answer=0.0003))
    for name in list_suites():
        assert all(price.cells > 0 for price in prices(load_suite(name), answers=False))


def test_another_accelerator_is_refused_before_anything_is_measured(capsys, monkeypatch):
    assert main(["bench", "plan", "quickstart", "--accelerator", "gpu"]) == 2
    assert "accelerator 'gpu'" in capsys.readouterr().err
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["bench", "plan", "quickstart", "--accelerator", "cuda"]) == 2
    assert "torch finds no such device here; give --throughput" in capsys.readouterr().err
