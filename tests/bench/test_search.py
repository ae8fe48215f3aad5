import importlib
import inspect
import textwrap

import numpy as np
import pytest

from tlzoo.bench import Cell
from tlzoo.bench.development import development
from tlzoo.bench.planning_cache import Facts
from tlzoo.bench.protocols import SEARCH, run
from tlzoo.bench.suite_reader import load_suite
from tlzoo.bench.tuning import choose, settings_of, trials
from tlzoo.bench.yaml_lines import SuiteError
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask
from tlzoo.methods.adaptation import DAN
from tlzoo.registry import METHODS, method_class
from tlzoo.selection import SCORES
from tlzoo.space import Choice, LogUniform, Space, Uniform, described, draw, read_distribution

SUITE = """\
suite: searched
seeds: 2
groups:
  - title: Adaptation
    kind: domain
    tasks: ["a->b"]
    trials: 4
    methods:
      - source_only
      - dan
      - {method: mcc, label: cold, settings: {temperature: 1.0}}
      - target_only
"""


@pytest.fixture
def expand(tmp_path, home, protocol, loaded):  # noqa: ARG001  # the last two: the world it runs in
    def expand(text=SUITE):
        path = tmp_path / "searched.yaml"
        path.write_text(textwrap.dedent(text))
        facts = Facts(protocol)
        cells = [cell for group in load_suite(str(path)).groups for cell in group.cells(facts)]
        return {(cell.label, cell.seed): cell for cell in cells}

    return expand


def test_every_row_has_as_many_trials(expand):
    cells = expand()
    assert len(cells["DAN", 0].candidates["weight"]) == 4
    assert cells["DAN", 0].search == {"trials": 4}
    assert cells["DAN", 0].candidates != cells["DAN", 1].candidates
    assert set(cells["cold", 0].candidates) == {"weight"}  # what a row gives is not drawn
    assert cells["source only", 0].candidates == {}
    assert cells["source only", 0].search == {}


def test_the_first_trial_is_the_row_as_it_is_written(expand):
    module = "    module: {lr: 0.02}\n    space: {lr: {log_uniform: [1e-3, 1e-1]}}\n"
    cells = expand(SUITE.replace("    methods:", module + "    methods:"))
    assert cells["DAN", 0].candidates["lr"][0] == 0.02
    assert cells["DAN", 0].candidates["weight"][0] == 1.0  # the default of the method
    assert len(set(cells["DAN", 0].candidates["lr"])) == 4


def test_few_values_are_all_tried_and_many_drawn(expand):
    few = "- {method: dan, label: DAN, settings: {weight: 1.0}, candidates: {estimator: [biased, unbiased]}}"
    cells = expand(SUITE.replace("- dan", few))
    assert cells["DAN", 0].candidates == {"estimator": ("biased", "unbiased")}
    assert cells["DAN", 0].search == {}
    many = few.replace("settings: {weight: 1.0}, candidates: {", "candidates: {weight: [1, 2, 3], ")
    drawn = expand(SUITE.replace("- dan", many))["DAN", 0]
    assert drawn.search == {"trials": 4}
    assert [len(values) for values in drawn.candidates.values()] == [4, 4]
    assert set(drawn.candidates["weight"]) <= {1, 2, 3}


def test_what_makes_no_difference_to_a_row_is_not_tried(expand, monkeypatch, protocol):
    module = importlib.import_module(protocol)
    monkeypatch.setattr(module, "NOT_OF", {"domain": {"SourceOnly": ("lr",)}}, raising=False)
    cells = expand(SUITE.replace("trials: 4", "trials: 4\n    space: {lr: {log_uniform: [1e-3, 1e-1]}}"))
    assert "lr" in cells["DAN", 0].candidates
    assert cells["source only", 0].candidates == {}


def test_settings_chosen_on_one_seed_are_those_of_all(expand):
    own = expand(SUITE.replace("trials: 4", "trials: 4\n    tuned_on: {seed: 7}"))
    one, other = (own["DAN", seed] for seed in (0, 1))
    assert one.candidates == other.candidates
    assert one.search == {"trials": 4, "tuned_on": {"seed": 7}}
    assert development(one).hash == development(other).hash
    assert (development(one).seed, development(one).task) == (7, one.task)
    elsewhere = expand(SUITE.replace("trials: 4", "trials: 4\n    tuned_on: {task: c->d}"))["DAN", 1]
    assert (development(elsewhere).task, development(elsewhere).seed) == ("c->d", 0)
    assert development(elsewhere).task_checksum != elsewhere.task_checksum
    assert own["source only", 0].search == {}


def test_a_parameter_more_moves_no_other_draw(expand, monkeypatch):
    before = {key: cell.candidates for key, cell in expand().items()}
    monkeypatch.setattr(DAN, "space", Space(estimator=Choice(("biased", "unbiased")), **DAN.space))
    monkeypatch.setattr("tlzoo.bench.planning_cache.code_fingerprint", lambda protocol: "other code")  # noqa: ARG005
    after = {key: cell.candidates for key, cell in expand().items()}
    assert set(after["DAN", 0]) == {"estimator", "weight"}
    assert all(after[key][name] == values for key in before for name, values in before[key].items())


def test_another_row_or_another_trial_moves_no_other_draw(expand):
    before = expand()
    more = expand(SUITE.replace("trials: 4", "trials: 6").replace("- dan", "- dann\n      - dan"))
    assert more["DAN", 0].candidates["weight"][:4] == before["DAN", 0].candidates["weight"]
    assert more["DAN", 0].hash != before["DAN", 0].hash


def test_settings_of_the_module_are_searched_for_all(expand):
    text = SUITE.replace("trials: 4", "trials: 4\n    space: {lr: {log_uniform: [1e-3, 1e-1]}}")
    cells = expand(text.replace("- target_only", "- {method: target_only, module: {lr: 0.5}}"))
    assert len(cells["source only", 0].candidates["lr"]) == 4
    assert cells["source only", 0].candidates != {"lr": cells["DAN", 0].candidates["lr"]}
    assert cells["target only", 0].candidates == {}
    weights = expand()["DAN", 0].candidates["weight"]
    assert cells["DAN", 0].candidates["weight"] == weights


def test_a_suites_keys_hold_for_its_groups(expand):
    text = SUITE.replace("    trials: 4\n", "").replace("seeds: 2", "seeds: 2\ntrials: 3\nrule: snd")
    assert expand(text)["DAN", 0].search == {"trials": 3, "rule": "snd"}


def test_a_rule_for_given_candidates_is_part_of_the_cell(expand):
    text = SUITE.replace("trials: 4", "rule: snd").replace(
        "- dan", "- {method: dan, label: DAN, candidates: {weight: [1, 2]}}"
    )
    assert expand(text)["DAN", 0].search == {"rule": "snd"}
    assert expand(text)["source only", 0].search == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # what would choose by test labels
        ("trials: 4", "trials: 4\n    rule: oracle", "searched.yaml:8: unknown rule 'oracle'"),
        ("trials: 4", "trials: 4\n    rule: test/accuracy", "searched.yaml:8: unknown rule 'test/accuracy'"),
        # mistakes of form
        ("trials: 4", "trials: -1", "searched.yaml:7: trials is -1; expected at least 0"),
        ("trials: 4", "trials: many", "searched.yaml:7: trials is 'many'; expected a whole number"),
        (
            "trials: 4",
            "trials: 4\n    space: {lr: 0.1}",
            "searched.yaml:8: space of lr: distribution 0.1; expected one",
        ),
        ("trials: 4", "trials: 4\n    space: {lr: {loguniform: [1, 2]}}", "searched.yaml:8: space of lr: unknown dist"),
        ("trials: 4", "trials: 4\n    space: {lr: {uniform: [2, 1]}}", "searched.yaml:8: space of lr: uniform from 2"),
        (
            "trials: 4",
            "trials: 4\n    space: {lr: {uniform: [2]}}",
            "searched.yaml:8: space of lr: uniform of [2]; exp",
        ),
        ("trials: 4", "trials: 4\n    space: {rl: {uniform: [1, 2]}}", "searched.yaml:7: unknown module setting to se"),
        (
            "- dan",
            "- {method: dan, candidates: {weight: [1]}}",
            "searched.yaml:10: adaptation/dan: one candidate of weight is a setting; give it so",
        ),
        (
            "    trials: 4\n",
            "    tuned_on: {seed: 0}\n",
            "searched.yaml:7: tuned_on says where trials are run, and there",
        ),
        ("trials: 4", "trials: 4\n    tuned_on: {seed: 0, task: e->f}", "searched.yaml:7: unknown task 'e->f'"),
    ],
)
def test_mistakes_are_named_with_their_line(expand, old, new, message):
    assert SUITE.count(old) == 1
    with pytest.raises(SuiteError) as caught:
        expand(SUITE.replace(old, new))
    assert str(caught.value).startswith(message)


def test_no_rule_reads_test_labels():
    assert set(SEARCH["domain"]["rules"]) <= {*SCORES, "source"}  # held-out source data
    assert not any(word in rule for kind in SEARCH.values() for rule in kind["rules"] for word in ("test", "oracle"))


def cell(**changes):
    return Cell(kind="domain", task="a->b", method="adaptation/dan", **changes)


def test_trials_are_tried_in_parallel_and_grids_in_full():
    candidates = {"weight": [1.0, 2.0], "lr": [0.1, 0.2]}
    assert trials(candidates) == [{"weight": 1.0, "lr": 0.1}, {"weight": 2.0, "lr": 0.2}]
    searched = cell(candidates=candidates, search={"trials": 2}, settings={"estimator": "biased"})
    settings, note = choose(searched, dict, lambda settings: settings["weight"])
    assert settings == {"estimator": "biased", "weight": 2.0, "lr": 0.2}
    assert (note["trials"], note["tuned"]) == (2, {"weight": 2.0, "lr": 0.2})
    tried = []
    _, note = choose(cell(candidates=candidates), lambda settings: tried.append(settings) or settings, lambda _: 0.0)
    assert note["trials"] == len(tried) == 4
    assert note["tuned"] == {"weight": 1.0, "lr": 0.1}  # the first of equals
    assert choose(cell(settings={"weight": 3.0}), dict, None) == ({"weight": 3.0}, {})


def test_a_failed_trial_is_no_choice_and_no_end():
    """What diverges, or has no score, loses to what has one; where all do, the cell fails."""
    searched = cell(candidates={"weight": [1.0, 2.0, 3.0]})

    def attempt(settings):
        if settings["weight"] == 1.0:
            raise FloatingPointError("the loss is nan")
        return settings["weight"]

    chosen, note = choose(searched, attempt, lambda weight: np.nan if weight == 2.0 else 0.25)
    assert (chosen, note["tuned"]) == (3.0, {"weight": 3.0})
    assert np.isnan(note["validation_scores"][:2]).all()
    with pytest.raises(FloatingPointError, match="all 3 trials failed: the loss is nan"):
        choose(searched, attempt, lambda _: np.nan)


def test_tuned_settings_go_to_the_method_or_its_module():
    tuned = cell(candidates={"weight": [1.0], "lr": [0.1]}, module={"lr": 0.5, "frozen": True})
    changed, own = settings_of(tuned, {"weight": 1.0, "lr": 0.1, "estimator": "biased"})
    assert own == {"weight": 1.0, "estimator": "biased"}
    assert changed.module == {"lr": 0.1, "frozen": True}


def test_hashes_of_cells_without_a_search_are_those_of_before():
    assert "search" not in cell().identity
    assert cell().hash != cell(search={"rule": "snd"}).hash


@pytest.mark.parametrize("distribution", [Uniform(-1.0, 3.0), LogUniform(1e-3, 1e3), Choice(("a", 2, None))])
def test_draws_fill_their_distribution(distribution):
    values = [draw(distribution, seed=0, method="m", parameter="p", trial=trial) for trial in range(400)]
    assert read_distribution(described(distribution)) == distribution
    if isinstance(distribution, Choice):
        assert {values.count(option) > 90 for option in distribution.options} == {True}
    else:
        assert distribution.low <= min(values) <= max(values) < distribution.high
        middle = distribution.at(0.5)
        assert np.mean(np.array(values) < middle) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("name", [name for name in METHODS if method_class(name).space])
def test_the_space_of_a_method_is_of_its_settings(name):
    cls = method_class(name)
    parameters = inspect.signature(cls).parameters
    for setting, distribution in cls.space.items():
        assert setting in parameters
        default = parameters[setting].default
        if isinstance(distribution, Choice):
            assert default in distribution.options
        elif default is not None:  # None: found from the data
            assert distribution.low <= default <= distribution.high
    shapes = {"num_features": 6, "num_classes": 3, "num_tasks": 2, "num_embedding": 4, "source_size": 8}
    offered = {key: value for key, value in shapes.items() if key in parameters}
    for share in (0.0, 0.5, 1 - 2**-48):
        cls(**offered, **{setting: each.at(share) for setting, each in cls.space.items()})


@pytest.fixture
def small_task(monkeypatch):
    """Two Gaussian classes, moved in the target."""
    random = np.random.default_rng(0)

    def examples(name):
        labels = np.arange(40) % 2
        inputs = (random.normal(size=(40, 5)) + labels[:, None] + name.startswith("target")).astype(np.float32)
        return ExampleSet(inputs=inputs, modality="features", labels=labels, checksum=name)

    names = [f"{side}_{part}" for side in ("source", "target") for part in ("train", "test")]
    task = DomainTask(name="small", class_names=("a", "b"), **{name: examples(name) for name in names})
    monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda name, root=None: task)  # noqa: ARG005
    monkeypatch.setattr("tlzoo.lit.data.base.with_features", lambda task, _: task)  # features they are
    return task


def run_small(method, **changes):
    budget, module = {"steps": 20, "batch_size": 8}, {"frozen": True, "bottleneck": 4}
    values = {"budget": budget, "module": module, **changes}
    return run(Cell(kind="domain", task="small", backbone="identity", method=method, **values), lambda _: None)


@pytest.mark.usefixtures("small_task")
@pytest.mark.parametrize("rule", ["information", "entropy", "snd"])
def test_the_rule_chooses_by_its_own_score(rule):
    search = {"trials": 3, "rule": rule}
    candidates = {"weight": [0.1, 1.0, 10.0], "lr": [1e-3, 1e-2, 1e-1]}
    outcome = run_small("adaptation/dan", candidates=candidates, search=search)
    scores = outcome.receipt["validation_scores"]
    assert outcome.receipt["trials"] == 3
    assert outcome.receipt["rule"] == rule
    chosen = int(np.argmax(scores))
    assert outcome.receipt["tuned"] == {name: values[chosen] for name, values in candidates.items()}
    assert outcome.curves[f"validation/{rule}"][-1] == pytest.approx(scores[chosen], abs=1e-6)


@pytest.mark.usefixtures("small_task")
def test_without_target_inputs_held_out_source_data_chooses():
    candidates = {"lr": [1e-6, 1e-1]}
    outcome = run_small("adaptation/source_only", candidates=candidates, search={"trials": 2})
    assert outcome.receipt["rule"] == "source"
    assert outcome.curves["source"][-1] == pytest.approx(max(outcome.receipt["validation_scores"]))


def test_test_labels_choose_nothing(small_task):
    candidates, search = {"weight": [0.1, 1.0, 10.0], "lr": [1e-3, 1e-2, 1e-1]}, {"trials": 3}
    before = run_small("adaptation/dan", candidates=candidates, search=search).receipt
    for name in ("target_test", "target_train"):
        examples = getattr(small_task, name)
        object.__setattr__(small_task, name, examples.with_labels(1 - examples.labels))
    after = run_small("adaptation/dan", candidates=candidates, search=search).receipt
    assert (after["tuned"], after["validation_scores"]) == (before["tuned"], before["validation_scores"])
