"""Search by Optuna: as many trials, the same draws from the same seed, and better than chance."""

import sys
import textwrap

import numpy as np
import pytest

from tlzoo.bench import Cell
from tlzoo.bench.planning_cache import Facts
from tlzoo.bench.suite_reader import load_suite
from tlzoo.bench.tuning import choose
from tlzoo.bench.yaml_lines import SuiteError
from tlzoo.space import LogUniform, draw

SPACE = {"lr": {"log_uniform": [1e-4, 1.0]}, "kind": {"choice": ["a", "b", "c"]}}
SUITE = """\
suite: searched
groups:
  - title: Adaptation
    kind: domain
    tasks: ["a->b"]
    trials: 4
    sampler: tpe
    methods:
      - source_only
      - dan
      - {method: mcc, label: own, candidates: {weight: [1, 2, 3, 4]}}
"""


def cell(seed=0, **changes):
    given = {"candidates": SPACE, "search": {"trials": 24, "sampler": "tpe"}, **changes}
    return Cell(kind="domain", task="t", method="adaptation/dan", seed=seed, **given)


def score(settings):
    return -abs(np.log10(settings["lr"]) + 2) - (settings["kind"] != "b")


@pytest.fixture
def expand(tmp_path, home, protocol, loaded):  # noqa: ARG001  # the last two: the world it runs in
    def expand(text=SUITE):
        path = tmp_path / "searched.yaml"
        path.write_text(textwrap.dedent(text))
        facts = Facts(protocol)
        return {c.label: c for group in load_suite(str(path)).groups for c in group.cells(facts)}

    return expand


def test_as_many_trials_by_the_seed_alone():
    pytest.importorskip("optuna")
    seen = []
    settings, note = choose(cell(), lambda given: seen.append(given) or given, score)
    assert len(seen) == note["trials"] == 24
    assert settings == {"kind": "b", "lr": note["tuned"]["lr"]}
    assert note == choose(cell(), dict, score)[1]
    assert note != choose(cell(1), dict, score)[1]


def test_it_draws_where_scores_were_good():
    """Later trials lie nearer to the best than random ones do, on average over seeds."""
    pytest.importorskip("optuna")
    late, random = [], []
    for seed in range(5):
        tried = []
        choose(cell(seed), lambda given, tried=tried: tried.append(given) or given, score)
        late += [score(given) for given in tried[12:]]
        drawn = {"seed": seed, "method": "m", "parameter": "lr"}
        random += [-abs(np.log10(draw(LogUniform(1e-4, 1.0), trial=t, **drawn)) + 2) - 2 / 3 for t in range(12)]
    assert np.mean(late) > np.mean(random) + 0.5


def test_a_score_that_is_not_finite_is_no_choice():
    pytest.importorskip("optuna")
    settings, _ = choose(cell(), dict, lambda given: -np.inf if given["kind"] == "b" else score(given))
    assert settings["kind"] != "b"


def test_a_suite_says_so_and_a_cell_keeps_the_space(expand):
    cells = expand()
    assert cells["DAN"].search == {"trials": 4, "sampler": "tpe"}
    assert cells["DAN"].candidates == {"weight": {"log_uniform": (0.1, 10.0)}}
    assert cells["source only"].search == {}
    assert cells["own"].search == {"trials": 4, "sampler": "tpe"}
    plain = expand(SUITE.replace("sampler: tpe", "sampler: random"))
    assert plain["DAN"].search == {"trials": 4}
    assert plain["DAN"].hash == expand(SUITE.replace("    sampler: tpe\n", ""))["DAN"].hash != cells["DAN"].hash


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sampler: tpe", "sampler: tep", "searched.yaml:7: unknown sampler 'tep'; did you mean 'tpe'?"),
        ("    trials: 4\n", "", "searched.yaml:6: sampler tpe has nothing to sample; set trials: N"),
    ],
)
def test_mistakes_are_named(expand, old, new, message):
    with pytest.raises(SuiteError) as caught:
        expand(SUITE.replace(old, new))
    assert str(caught.value).startswith(message)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install tlzoo\[optuna\]"):
        choose(cell(), dict, score)
