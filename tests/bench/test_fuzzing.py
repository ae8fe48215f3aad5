"""Mutated suites, results and command lines end in a result or in one clear line: a sample of robustness/fuzz.py."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from tlzoo import cli
from tlzoo.bench.plan import make_plan
from tlzoo.bench.store import _sealed
from tlzoo.bench.suite_reader import load_suite
from tlzoo.bench.yaml_lines import SuiteError, parse
from tlzoo.errors import InputError
from tlzoo.registry import method_class

SPEC = importlib.util.spec_from_file_location("fuzz", Path(__file__).parents[2] / "benchmarks/robustness/fuzz.py")
fuzz = importlib.util.module_from_spec(SPEC)
sys.modules["fuzz"] = fuzz
SPEC.loader.exec_module(fuzz)

NOTHING = "suite: small\ngroups:\n  - title: t\n    kind: domain\n    tasks: [a->b]\n    methods: [dan]\n"
HURTS = {
    "Latin-1": (b"suite: caf\xe9\n", "1: byte 0xe9 is no UTF-8; save the file as UTF-8 text"),
    "UTF-16": (b"\xff\xfes\x00u\x00", "1: byte 0xff is no UTF-8"),
    "NUL": (b"suite: a\ngroups: \x00\n", r"2: character '\\x00' does not belong in a text file; remove it"),
    "escape": (b"suite: a\x1b[31m\n", r"1: character '\\x1b' does not belong"),
    "date as a name": (b"suite: 2020-01-01\ngroups: 5\n", "2: groups is 5; expected a list"),
    "list as a key": (b"? [a, b]\n: c\n", "1: a list or a mapping as a key; expected a name"),
    "mapping as a key": (b"suite: x\n? {a: b}\n: c\n", "2: a list or a mapping as a key"),
    "no integer": (b"suite: !!int abc\n", "1: 'abc' is no int"),
    "no float": (b"suite: !!float abc\n", "1: 'abc' is no float"),
    "no timestamp": (b"suite: !!timestamp abc\n", "1: 'abc' is no timestamp"),
    "code": (b"suite: !!python/name:os.system\n", "1: not valid YAML: could not determine a constructor"),
    "5,000 digits": (b"suite: " + b"1" * 5000, r"1: '1{77}...' is no int"),
    "an alias of 5,000 digits": (b"suite: *" + b"1" * 5000, r"1: not valid YAML: found undefined alias '1+\.\.\."),
    "40 digits": (b"suite: " + b"1" * 40, "1: '1{40}' is a whole number of more than 64 bits"),
    "hexadecimal": (
        b"suite: a\nseeds: 0xffffffff\ngroups: [1]\n",
        "2: seeds is 4294967295, a number of runs",
    ),
    "a seed too large": (b"suite: a\nseeds: [0x100000000]\ngroups: [1]\n", "2: a seed is 4294967296; expected a whole"),
    "list in itself": (b"a: &a [*a]\n", "1: more than 20 lists and mappings inside each other"),
    "mapping in itself": (b"a: &a {b: *a}\n", "1: more than 20 lists"),
    "900 brackets": (b"a: " + b"[" * 900, "1: (lists and mappings are nested too deeply|not valid YAML)"),
    "900 closed brackets": (b"a: " + b"[" * 900 + b"]" * 900, "1: lists and mappings are nested too deeply"),
    "30 brackets": (b"a: " + b"[" * 30 + b"]" * 30, "1: more than 20 lists and mappings inside each other"),
    "ten levels of aliases": (fuzz.BILLION, r"\d+: more than 100,000 values, with aliases replaced by what they"),
}


@pytest.mark.parametrize("name", HURTS)
def test_files_made_to_hurt_are_refused_with_their_line(name, tmp_path):
    data, message = HURTS[name]
    (tmp_path / "small.yaml").write_bytes(data)
    with pytest.raises(SuiteError, match=f"^small.yaml:{message}") as caught:
        load_suite(str(tmp_path / "small.yaml"))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(("value", "shown"), [(".nan", "nan"), ("-.inf", "-inf"), ("1e400", "inf")])
@pytest.mark.parametrize("part", ["settings: {weight: %s}", "candidates: {weight: [1, %s]}", "budget: {steps: %s}"])
def test_numbers_of_a_row_are_finite(part, value, shown, tmp_path):
    row = f"{{method: dan, {part % value}}}"
    (tmp_path / "small.yaml").write_text(NOTHING.replace("methods: [dan]", f"methods: [{row}]"))
    with pytest.raises(SuiteError, match=f"^small.yaml:6: {shown} is no finite number$"):
        load_suite(str(tmp_path / "small.yaml"))


@pytest.mark.parametrize("value", ["5", "abc", "{a: 1}", "null", "2020-01-01", "[]"])
def test_candidates_that_are_no_list_are_refused(value, tmp_path):
    row = f"- {{method: dan, candidates: {{weight: {value}}}}}"
    (tmp_path / "small.yaml").write_text(NOTHING.replace("methods: [dan]", f"methods: [{row[2:]}]"))
    with pytest.raises(SuiteError, match=r"small.yaml:6: candidates of weight is .*expected a list with at least one"):
        load_suite(str(tmp_path / "small.yaml"))


def test_aliases_within_reason_are_kept():
    found = parse("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: 2020-01-01}\n", "x.yaml").plain()
    assert found == {"a": [1, 2], "b": [1, 2], "c": {"d": 1, "e": "2020-01-01"}}
    assert parse("\ufeffa: 1\n".encode(), "x.yaml").plain() == {"a": 1}


def test_a_long_name_is_cut(tmp_path):
    (tmp_path / "small.yaml").write_text(NOTHING.replace("small", "s" * 5000))
    with pytest.raises(SuiteError, match=r"^small.yaml:1: suite is 's{77}\.\.\.'; expected a name of letters"):
        load_suite(str(tmp_path / "small.yaml"))
    with pytest.raises(ValueError, match=r"^unknown method 'd{77}\.\.\.'; none of the"):
        method_class("d" * 5000)


@pytest.mark.parametrize("words", [["run", "x", "--html"], ["report", "x", "--output"], ["export", "x", "--output"]])
@pytest.mark.parametrize("folder", ["/", ".", ""])
def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_runs(words, folder, capsys):
    with pytest.raises(SystemExit):
        cli.main(["bench", *words, folder])
    assert f"{words[-1]}: {folder!r} is a folder; give a file" in capsys.readouterr().err


def test_a_module_that_is_no_protocol_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    (tmp_path / "small.yaml").write_text(NOTHING)
    with pytest.raises(InputError, match=r"^json is no protocol: it has no REVISIONS, prepare, run$"):
        make_plan(load_suite(str(tmp_path / "small.yaml")), "json")


def test_results_whose_provenance_is_of_another_form_count_as_missing():
    with fuzz.world() as folder:
        store, files = fuzz._store(folder)
        path = next(path for path in files if path.suffix == ".json" and store.read(path.stem) is not None)
        payload = json.loads(path.read_text())["payload"]
        payload["provenance"]["versions"] = [payload["provenance"]["versions"]]
        path.write_bytes(_sealed(payload))
        assert store.read(path.stem) is None


@pytest.mark.parametrize(("kind", "count"), [("suites", 100), ("results", 39), ("commands", 60)])
def test_a_sample_of_mutants(kind, count):
    counts, faults = fuzz.fuzz(kind, count, seed=20)
    assert not faults
    assert sum(counts.values()) == count
    assert counts["mistake"] > 0
    assert counts["result"] > 0


def test_the_fuzzer_sees_faults():
    def crash():
        raise ZeroDivisionError("division by zero")

    def babble():
        print("tlzoo: one\ntwo", file=sys.stderr)
        return 2

    assert fuzz.ended(crash) == ("fault", "ZeroDivisionError: division by zero")
    assert fuzz.ended(babble)[0] == "fault"
    assert fuzz.ended(lambda: 0) == ("result", "")
