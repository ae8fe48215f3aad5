import json
import os
import subprocess
import sys

import pytest

from tlzoo.bench import planning_cache as facts_module
from tlzoo.bench.execution.resources import import_path
from tlzoo.bench.planning_cache import Facts, code_fingerprint

pytestmark = pytest.mark.usefixtures("home", "loaded")

SUITE = """\
suite: tiny
groups:
  - title: Adaptation
    kind: domain
    tasks: ["a->b"]
    backbones: [lenet]
    methods: [source_only, target_only, {method: cdan, settings: {entropy: true}}]
"""

PLAN = """
import sys
from tlzoo.bench.plan import make_plan
from tlzoo.bench.suite_reader import load_suite
from tlzoo.bench.execution.resources import import_path
plan = make_plan(load_suite(sys.argv[1]), "numeric_protocol")
assert len(plan.cells) == 3
print([name for name in ("torch", "pytorch_lightning", "pandas", "matplotlib", "scipy") if name in sys.modules])
"""


def test_a_remembered_plan_loads_nothing_heavy(tmp_path, protocol, loaded):
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    from tlzoo.bench.plan import make_plan
    from tlzoo.bench.suite_reader import load_suite

    make_plan(load_suite(str(path)), protocol)
    assert loaded == ["a->b"]
    # in a process where this task does not even exist
    environment = {**os.environ, "PYTHONPATH": import_path()}
    command = [sys.executable, "-c", PLAN, str(path)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_facts_of_pinned_tasks_are_remembered(protocol, loaded):
    first = Facts(protocol)
    first.task("a->b")
    first.save()
    fact = Facts(protocol).task("a->b")
    assert (fact["name"], fact["kind"], fact["checksum"], fact["code"]) == ("a->b", "domain", "sum of a->b", {})
    assert loaded == ["a->b"]


@pytest.mark.parametrize(("name", "root"), [("folder", None), ("a->b", "here")])
def test_a_folder_of_the_users_is_looked_at_every_time(protocol, loaded, name, root):
    for _ in range(2):
        facts = Facts(protocol)
        facts.task(name, root)
        facts.task(name, root)
        facts.save()
    assert loaded == [name, name]


def test_changed_code_makes_facts_anew(protocol, loaded, tmp_path):
    before = code_fingerprint(protocol)
    facts = Facts(protocol)
    facts.task("a->b")
    facts.save()
    with (tmp_path / "importable" / "numeric_protocol.py").open("a") as file:
        file.write("# a change\n")
    assert code_fingerprint(protocol) != before
    Facts(protocol).task("a->b")
    assert loaded == ["a->b", "a->b"]


def test_another_version_of_a_dependency_makes_facts_anew(monkeypatch, protocol):
    before = code_fingerprint(protocol)
    monkeypatch.setattr(facts_module, "dependency_versions", lambda: {"numpy": "99"})
    assert code_fingerprint(protocol) != before


def test_a_damaged_file_of_facts_is_made_again(home, protocol):
    facts = Facts(protocol)
    facts.task("a->b")
    facts.save()
    (path,) = (home / "facts").glob("*.json")
    assert "task a->b root None" in json.loads(path.read_text())
    path.write_text("{")
    assert Facts(protocol).task("a->b")["checksum"] == "sum of a->b"


def test_few_files_are_kept(home, protocol):
    (home / "facts").mkdir(parents=True)
    for number in range(20):
        (home / "facts" / f"{number}.json").write_text("{}")
    facts = Facts(protocol)
    facts.backbone("lenet")
    facts.save()
    assert len(list((home / "facts").glob("*.json"))) == 8
    assert "backbone lenet" in Facts(protocol)._known


def test_method_facts(protocol):
    facts = Facts(protocol)
    cdan = facts.method("cdan")
    assert cdan["name"] == "confusion/cdan"
    assert cdan["label"] == "CDAN"
    assert "entropy" in cdan["settings"]
    assert facts.method("source_only")["label"] == "source only"
    assert facts.method("source_only")["sees"] == ["source inputs", "source labels"]


def test_a_protocol_that_is_not_there():
    with pytest.raises(ValueError, match="no protocol module 'nowhere'"):
        code_fingerprint("nowhere")
