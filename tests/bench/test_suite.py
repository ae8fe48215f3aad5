import textwrap

import pytest

from tlzoo.bench.planning_cache import Facts
from tlzoo.bench.suite_reader import find_suite, load_suite
from tlzoo.bench.yaml_lines import SuiteError, parse
from tlzoo.methods.confusion import CDAN

GOOD = """\
suite: small
question: Does it help?
seeds: 3
groups:
  - title: Adaptation
    kind: domain
    tasks: ["a->b", "c->d"]
    backbones: [lenet, mlp]
    module: {lr: 1e-2, sharing: hard}
    budget: {steps: 400}
    methods:
      - source_only
      - target_only
      - method: cdan
        label: CDAN+E
        settings: {entropy: true}
        module: {lr: 0.1}
        candidates: {weight: [0.1, 1]}
  - title: Episodes
    kind: episode
    tasks: [episodes]
    methods: [oneshot/protonet]
    seeds: [7]
"""


def write(tmp_path, text):
    path = tmp_path / "small.yaml"
    path.write_text(textwrap.dedent(text))
    return str(path)


@pytest.fixture
def expand(tmp_path, home, protocol, loaded):  # noqa: ARG001  # the last two: the world it runs in
    def expand(text):
        facts = Facts(protocol)
        return [group.cells(facts) for group in load_suite(write(tmp_path, text)).groups]

    return expand


def test_a_suite_expands_to_the_product(expand):
    domain, episodes = expand(GOOD)
    assert len(domain) == 2 * 2 * 3 * 3
    assert len({cell.hash for cell in domain}) == len(domain)
    assert {cell.seed for cell in domain} == {0, 1, 2}
    assert [(cell.method, cell.seed, cell.backbone) for cell in episodes] == [("oneshot/protonet", 7, None)]


def test_settings_of_a_row_go_before_those_of_the_group(expand):
    cells = {cell.label: cell for cell in expand(GOOD)[0]}
    assert cells["CDAN+E"].module == {"lr": 0.1, "sharing": "hard"}
    assert cells["source only"].module == {"lr": 0.01, "sharing": "hard"}
    assert cells["CDAN+E"].candidates == {"weight": (0.1, 1)}
    assert cells["CDAN+E"].revisions == {"method": CDAN.revision, "protocol": 1, "schema": 1}
    assert cells["CDAN+E"].task_checksum == "sum of c->d"


def test_seeds_are_overridden_where_something_is_random(tmp_path):
    suite = load_suite(write(tmp_path, GOOD)).with_seeds(5)
    assert [group.seeds for group in suite.groups] == [(0, 1, 2, 3, 4), (7,)]
    with pytest.raises(ValueError, match="0 seeds; expected 1 to 10,000"):
        suite.with_seeds(0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds: 3", "seed: 3", "small.yaml:3: a suite: unknown key 'seed'; did you mean 'seeds'?"),
        ("seeds: 3", "seeds: three", "small.yaml:3: seeds is 'three'; expected a whole number, or a list of them"),
        ("seeds: 3", "seeds: 0", "small.yaml:3: seeds is 0, a number of runs; expected 1 to 10,000"),
        ("seeds: 3", "seeds: true", "small.yaml:3: seeds is True; expected a whole number, or a list of them"),
        ("seeds: [7]", "seeds: [7, 7]", "small.yaml:23: seeds [7, 7] contain a duplicate"),
        ("kind: domain", "kind: domains", "small.yaml:6: unknown kind 'domains'; did you mean 'domain'?"),
        ('tasks: ["a->b", "c->d"]', "tasks: []", "small.yaml:7: tasks is a list; expected a list with at least one"),
        ('tasks: ["a->b", "c->d"]', "tasks: [3]", "small.yaml:7: an entry of tasks is 3; expected a name"),
        ("budget: {steps: 400}", "budget: 400", "small.yaml:10: budget is 400; expected a mapping"),
        ("- source_only", "- {label: x}", "small.yaml:12: a method has no 'method'"),
        ("label: CDAN+E", "labels: CDAN+E", "small.yaml:15: a method: unknown key 'labels'; did you mean 'label'?"),
        ("label: CDAN+E", "label: source_only", "small.yaml:14: label 'source_only' is already used on line 12"),
        ("weight: [0.1, 1]", "weight: 0.1", "small.yaml:18: candidates of weight is 0.1; expected a list"),
        ("title: Episodes", "titel: Episodes", "small.yaml:19: a group: unknown key 'titel'; did you mean 'title'"),
        ("groups:", "groups: []\nother:", "small.yaml:5: a suite: unknown key 'other'"),
        ("suite: small", "suite: small\nsuite: b", "small.yaml:2: key 'suite' is already on line 1"),
        ("suite: small", "suite: [small", "small.yaml:2: not valid YAML"),
        ("question: Does it help?", "question:", "small.yaml:2: question is empty; expected a sentence"),
    ],
)
def test_mistakes_of_form_are_named_with_their_line(tmp_path, old, new, message):
    assert GOOD.count(old) == 1
    with pytest.raises(SuiteError) as caught:
        load_suite(write(tmp_path, GOOD.replace(old, new)))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- source_only", "- source_onyl", "small.yaml:12: unknown method 'source_onyl'; did you mean 'source_only'"),
        ('"a->b"', '"a->c"', "small.yaml:7: unknown task 'a->c'; did you mean 'a->b'?"),
        ("[lenet, mlp]", "[lenet, mpl]", "small.yaml:8: unknown backbone 'mpl'; did you mean 'mlp'"),
        ("entropy: true", "entropi: true", "small.yaml:14: CDAN+E: unknown setting 'entropi'; did you mean 'entropy'?"),
        ("{weight: [0.1, 1]}", "{wait: [1]}", "small.yaml:14: CDAN+E: unknown setting to tune 'wait'"),
        ("{steps: 400}", "{stops: 400}", "small.yaml:12: adaptation/source_only: unknown budget entry 'stops'"),
        ("sharing: hard", "shoring: hard", "small.yaml:12: adaptation/source_only: unknown module setting 'shoring'"),
        (
            "tasks: [episodes]",
            'tasks: ["a->b"]',
            "small.yaml:21: task 'a->b' is of kind 'domain', but its group is of kind",
        ),
        (
            "- target_only",
            "- target_only\n      - {method: target_only, label: again}",
            "small.yaml:5: rows 'target only' and 'again' of 'Adaptation' are the same run",
        ),
        (
            "- target_only",
            "- target_only\n      - {method: dan, label: source only}",
            "small.yaml:5: 'Adaptation' has two different rows labelled 'source only'",
        ),
    ],
)
def test_mistakes_of_name_are_named_with_their_line(expand, old, new, message):
    assert GOOD.count(old) == 1
    with pytest.raises(SuiteError) as caught:
        expand(GOOD.replace(old, new))
    assert str(caught.value).startswith(message)


def test_an_empty_file_is_no_suite(tmp_path):
    with pytest.raises(SuiteError, match="the file is empty"):
        load_suite(write(tmp_path, ""))


def test_numbers_without_a_dot_are_numbers():
    assert parse("[1e-3, 2.5E+4, 7, abc, 2024-01-01]", "f").plain() == [1e-3, 2.5e4, 7, "abc", "2024-01-01"]


def test_anchors_and_merges_work():
    text = "a: &base {x: 1, y: 2}\nb: {<<: *base, y: 3}\n"
    assert parse(text, "f").plain()["b"] == {"x": 1, "y": 3}


def test_a_suite_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="unknown suite 'quickstrat'"):
        find_suite("quickstrat")
    with pytest.raises(FileNotFoundError, match="no suite file"):
        find_suite(str(tmp_path / "none.yaml"))


def test_a_suite_may_limit_its_cells(tmp_path):
    assert load_suite(write(tmp_path, GOOD)).cell_timeout is None
    limited = f"cell_timeout: 90\n{GOOD}"
    assert load_suite(write(tmp_path, limited)).cell_timeout == 90.0
    for wrong in ("0", "-1", "soon", "true", ".inf", ".nan"):
        with pytest.raises(
            SuiteError, match=r"small.yaml:1: cell_timeout is .*expected seconds > 0 that a cell may take"
        ):
            load_suite(write(tmp_path, f"cell_timeout: {wrong}\n{GOOD}"))


def test_a_limit_is_no_part_of_a_cell(expand):
    hashes = [[cell.hash for group in expand(text) for cell in group] for text in (GOOD, f"cell_timeout: 90\n{GOOD}")]
    assert hashes[0] == hashes[1]
