"""Whether mistakes of users end in one clear line: mutated suites, mutated results, and mutated command lines.

    python benchmarks/robustness/fuzz.py [suites|results|commands ...] [--count N] [--seed 0]

A mutant of a suite is planned; a mutated result is read by every command that reads results; a command line is run.
Each must end in a valid result, or in a mistake that the command line shows in one line. What ends in a traceback,
shows several lines or takes more than ten seconds of a processor is printed, with what it was.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import random
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import tlzoo
from tlzoo.bench import Cell, planning_cache
from tlzoo.bench.execution import one_cell
from tlzoo.bench.store import Store
from tlzoo.bench.suite_reader import list_suites
from tlzoo.cli import main as cli
from tlzoo.errors import InputError
from tlzoo.spelling import nearest

COUNTS = {"suites": 10_000, "results": 2_000, "commands": 2_000}
SECONDS = 10.0
SUITES = Path(tlzoo.__file__).parent / "bench" / "suites"

SUITE = """\
suite: toy
question: which is better?
seeds: 2
groups:
  - title: Toy
    kind: domain
    tasks: [a->b]
    backbones: [lenet]
    budget: {steps: 20}
    methods:
      - {method: dan, label: dan, settings: {weight: 0.5}, candidates: {weight: [0.1, 1.0]}}
      - source_only
      - target_only
"""

PROTOCOL = """
REVISIONS = dict.fromkeys(["domain", "multitask", "episode", "zeroshot", "finetuning"], 1)
SEARCH = {"domain": {"rules": ("information", "snd"), "module": ("lr",)}, "multitask": {"rules": ("validation",)}}

def allowed(kind):
    return {"module": ["lr", "sharing", "bottleneck"], "budget": ["steps", "batch_size"]}

def prepare(cells):
    pass

def run(cell, report):
    import numpy as np
    from tlzoo.bench import Outcome
    scores = {"test/accuracy": np.random.rand()}
    return Outcome(metrics=scores, predictions={"test": np.random.rand(4, 3)}, splits={"test": "abc"})
"""


@dataclass(frozen=True)
class Fault:
    """A mutant that ended in anything but a result or one clear line."""

    what: str
    why: str


def ended(run: Callable[[], int]) -> tuple[str, str]:
    """Run a command line; return how it ended (``"result"``, ``"mistake"`` or ``"fault"``) and what it said."""
    out, err, begun = io.StringIO(), io.StringIO(), time.process_time()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run()
    except SystemExit as error:  # argparse
        status = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "fault", f"{type(error).__name__}: {str(error)[:200]}"
    if (seconds := time.process_time() - begun) > SECONDS:
        return "fault", f"took {seconds:.0f} s"
    said = err.getvalue()
    if "Traceback" in said:
        return "fault", said[-300:]
    if status != 2:
        return "result", said
    lines = [line for line in said.splitlines() if line and not line.startswith(("usage:", " "))]
    if len(lines) != 1 or len(lines[0]) > 2000:
        return "fault", f"says {len(lines)} lines: {said[:300]!r}"
    return "mistake", lines[0]


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e308, -1e308, float("inf"), float("nan"), 2**31, 2**32, 2**63, 2**64),
    *(
        10**30,
        "",
        " ",
        "x",
        "\n",
        "a: b",
        "../x",
        "/",
        "=1+1",
        "\u202e",
        "0x10",
        "1e400",
        "nan",
        "null",
        "~",
        "<<",
        "&a",
    ),
    *(
        [],
        {},
        [[]],
        [{}],
        {"": ""},
        [None],
        {"a": None},
        [1, "a"],
        "a" * 300,
        ["a->b", "a->b"],
        "a->b",
        "dan",
        [[1], [2]],
    ),
)
TOKENS = (
    *(
        "&a ",
        "*a",
        "!!int abc",
        "!!python/object:os.system x",
        "? [a, b]\n: c",
        "<<: *a",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ":",
    ),
    *(
        "\t",
        "\n",
        "\x00",
        "\x1b",
        "\xe9",
        "---\n",
        "...\n",
        "%YAML 9\n",
        "|",
        ">",
        "'",
        '"',
        "#",
        "@",
        "`",
        "2020-01-01",
    ),
    *(
        "0xfffffffffffffff",
        "1" * 5000,
        "[" * 900,
        "{a: " * 500,
        "12:30:45",
        "!!binary aGk=",
        "!!set {a}",
        "1_000",
        "0o7",
    ),
    *("!!float x", "!!timestamp x", "!!null x", "!!bool x", "!<tag> x", "\ufeff", "\u2028", "\ud7ff", "1e999", ".inf"),
)
BILLION = b"\n".join(  # ten levels of aliases, nine of the last in each
    [b"a0: &a0 [x]", *(b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 11))]
)
WHOLE = (
    b"\xff\xfe\x00suite", b"caf\xe9: 1", b"", b"\x00", b"[" * 900, b"- " * 2000, b"a: &a [*a]", b"a: &a {b: *a}",
    BILLION,
    b"suite: 2020-01-01\ngroups: 5", b"!!python/name:os.system", b"? {a: b}\n: c\nsuite: x", b"suite: \x07",
)  # fmt: skip


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield from _places(value, (*path, key))


def mutated(value: Any, chance: random.Random) -> Any:
    """Return JSON data with one place replaced, removed, renamed, doubled or wrapped."""
    copy = json.loads(json.dumps(value))
    path = chance.choice([place for place in _places(copy) if place])
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    how = chance.choice(("replace", "remove", "rename", "wrap", "double", "negate"))
    if how == "replace":
        parent[path[-1]] = chance.choice(VALUES)
    elif how == "remove":
        del parent[path[-1]]
    elif how == "wrap":
        parent[path[-1]] = chance.choice(([parent[path[-1]]], {"a": parent[path[-1]]}, str(parent[path[-1]])))
    elif how == "rename" and isinstance(parent, dict):
        parent[str(chance.choice(VALUES))] = parent.pop(path[-1])
    elif how == "double" and isinstance(parent, list):
        parent.append(parent[path[-1]])
    elif isinstance(parent[path[-1]], int | float):
        parent[path[-1]] = -parent[path[-1]] * chance.choice((1, 1e9))
    return copy


def suite_bytes(chance: random.Random, originals: list[str]) -> bytes:
    """Return a mutated suite file: its data, its text or its bytes changed, or a file made to hurt."""
    text = chance.choice(originals)
    how = chance.random()
    if how < 0.01:
        return chance.choice(WHOLE)
    if how < 0.45:
        data = yaml.safe_load(text)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            data = mutated(data, chance)
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")
    if how < 0.8:
        for _ in range(chance.choice((1, 1, 2))):
            place = chance.randrange(len(text) + 1)
            gone = chance.choice((0, 0, 1, 5, 40))
            text = text[:place] + chance.choice(TOKENS) + text[place + gone :]
        return text.encode("utf-8", "surrogatepass")
    data_ = bytearray(text.encode())
    for _ in range(chance.choice((1, 3, 10))):
        if how < 0.9:
            data_[chance.randrange(len(data_))] = chance.randrange(256)
        else:
            lines = bytes(data_).splitlines(keepends=True)
            one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            data_ = bytearray(b"".join(lines))
    return bytes(data_)


@contextlib.contextmanager
def world() -> Iterator[Path]:
    """A folder with a protocol, an empty cache, and tasks that load at once."""

    def load_task(name: str, root: str | None = None) -> Any:  # noqa: ARG001
        kinds = {"episodes": "episode", "unseen": "zeroshot", "two-digits": "multitask"}
        if not isinstance(name, str) or name not in ("a->b", "c->d", *kinds):
            raise InputError(nearest(str(name), ["a->b", "c->d", *kinds], kind="task"))
        metric = types.SimpleNamespace
        return metric(kind=kinds.get(name, "domain"), checksum=f"sum of {name}", sources=("emoji",), sets=dict)

    before, home, path, here = tlzoo.load_task, os.environ.get("TLZOO_HOME"), list(sys.path), Path.cwd()
    fingerprint, commit = planning_cache.code_fingerprint, one_cell._commit
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fuzzed_protocol.py").write_text(PROTOCOL)
        os.environ["TLZOO_HOME"] = str(folder / "home")
        sys.path.insert(0, name)
        sys.modules.pop("fuzzed_protocol", None)
        tlzoo.load_task = load_task  # type: ignore[assignment]
        planning_cache.code_fingerprint = functools.cache(fingerprint)  # the code stays as it is while it is fuzzed
        one_cell._commit = lambda: None  # a checkout with changes has no metrics file
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(here)
            tlzoo.load_task = before
            planning_cache.code_fingerprint, one_cell._commit = fingerprint, commit
            sys.path[:] = path
            os.environ.pop("TLZOO_HOME")
            os.environ |= {} if home is None else {"TLZOO_HOME": home}


def fuzz_suites(folder: Path, chance: random.Random, count: int) -> Iterator[tuple[str, str, str]]:
    """Plan mutated suites; yield (what, how it ended, what it said)."""
    originals = [(SUITES / f"{name}.yaml").read_text(encoding="utf-8") for name in list_suites()]
    originals += [SUITE] * (2 * len(originals))  # most mutants of this one get as far as its cells
    path = folder / "mutant.yaml"
    for _ in range(count):
        path.write_bytes(written := suite_bytes(chance, originals))
        words = ["bench", "status", str(path), "--protocol", "fuzzed_protocol"]
        yield repr(written), *ended(lambda words=words: cli(words))


def _store(folder: Path) -> tuple[Store, list[Path]]:
    """Return a store with the results of the toy suite, and its files."""
    from tlzoo.bench.execution.runner import run_cells
    from tlzoo.bench.plan import make_plan
    from tlzoo.bench.suite_reader import load_suite

    (folder / "toy.yaml").write_text(SUITE)
    store = Store(folder / "runs" / "toy")
    plan = make_plan(load_suite(str(folder / "toy.yaml")), "fuzzed_protocol")
    run_cells(plan.cells, store, protocol="fuzzed_protocol")
    store.write_failure(Cell(kind="domain", task="a->b", method="adaptation/dan", seed=99), "ValueError: no")
    return store, sorted(path for path in store.root.iterdir() if path.suffix in (".json", ".npz"))


READERS = (
    ("status",), ("report",), ("report", "--format", "markdown"), ("report", "--format", "latex"),
    ("report", "--format", "csv"), ("report", "--format", "csv-auxiliary"), ("report", "--format", "html"),
    ("export",), ("export", "--metrics", "--output", "new.json"), ("diff",), ("reproduce",), ("compare",),
    ("diff-file",),
)  # fmt: skip


def fuzz_results(folder: Path, chance: random.Random, count: int) -> Iterator[tuple[str, str, str]]:
    """Read mutated results with the commands that read results; yield (what, how it ended, what it said)."""
    from tlzoo.bench.store import _digest

    store, files = _store(folder)
    whole = {path: path.read_bytes() for path in files}
    ended(
        lambda: cli(["bench", "export", "toy.yaml", "--protocol", "fuzzed_protocol", "--metrics", "--output", "m.json"])
    )
    metrics = json.loads((folder / "m.json").read_text())
    protocol = ("--protocol", "fuzzed_protocol")
    for number in range(count):
        reader = READERS[number % len(READERS)]
        path = chance.choice([path for path in files if path.suffix == ".json"])
        data = json.loads(whole[path])
        if reader == ("diff-file",):
            path, data = folder / "changed.json", metrics
            changed = mutated(data, chance)
        elif chance.random() < 0.8:  # sealed again: what another program, or another version, may have written
            changed = {"payload": mutated(data["payload"], chance)}
            with contextlib.suppress(ValueError):  # NaN, which no digest covers
                changed["digest"] = _digest(changed["payload"])
        else:
            changed = mutated(data, chance)
        written = json.dumps(changed).encode("utf-8", "surrogatepass")
        if chance.random() < 0.1:
            cut = bytearray(written)
            cut[chance.randrange(len(cut))] = chance.randrange(256)
            written = bytes(cut[: chance.randrange(len(cut) + 1)])
        path.write_bytes(written)
        words = {
            "diff": ["bench", "diff", str(store.root), "m.json"],
            "diff-file": ["bench", "diff", "m.json", "changed.json"],
            "reproduce": ["bench", "reproduce", path.name.split(".")[0], *protocol],
            "compare": ["bench", "compare", "dan", "source_only", "toy.yaml", *protocol],
        }.get(reader[0], ["bench", reader[0], "toy.yaml", *protocol, *reader[1:]])
        if path.suffix == ".json" and path in whole and chance.random() < 0.1:
            path.with_suffix(".npz").write_bytes(chance.choice((b"", b"PK", b"\x93NUMPY", written)))
        yield f"{' '.join(reader)}: {written!r}", *ended(lambda words=words: cli(words))
        for file, content in whole.items():
            if not file.is_file() or file.read_bytes() != content:
                file.write_bytes(content)


WORDS = (
    *("bench", "list", "info", "cite", "data", "rank-backbones", "fit", "run", "status", "report", "export", "compare"),
    *(
        "reproduce",
        "diff",
        "path",
        "verify",
        "toy.yaml",
        "mutant.yaml",
        "dan",
        "cdan",
        "emoji",
        "runs/toy",
        "m.json",
        ".",
    ),
    *(
        "--format",
        "--output",
        "--store",
        "--protocol",
        "fuzzed_protocol",
        "--seeds",
        "--workers",
        "--executor",
        "--html",
    ),
    *(
        "--metrics",
        "--cell-timeout",
        "--logger",
        "--tolerance",
        "--address",
        "--root",
        "--help",
        "--version",
        "--config",
    ),
    *(
        "markdown",
        "html",
        "latex",
        "csv",
        "pool",
        "in_process",
        "ray",
        "slurm",
        "wandb",
        "mlflow",
        "tensorboard",
        "nope",
    ),
    *(
        "-1",
        "0",
        "1",
        "2",
        "1e9",
        "nan",
        "inf",
        "",
        " ",
        "/",
        "/nope/x",
        "\x00",
        "\x1b[31m",
        "é",
        "a" * 300,
        "=",
        "--",
        "-x",
    ),
    *("quickstart", "a->b", "lenet", "../..", "4294967296", "99999999999999999999", "0.5", "out.txt", "out/out.txt"),
)
STARTS = (
    ["bench", "run", "toy.yaml", "--protocol", "fuzzed_protocol", "--executor", "in_process"],
    ["bench", "report", "toy.yaml", "--protocol", "fuzzed_protocol"],
    ["bench", "export", "toy.yaml", "--protocol", "fuzzed_protocol"],
    ["bench", "status", "toy.yaml", "--protocol", "fuzzed_protocol"],
    ["bench", "compare", "dan", "source_only", "toy.yaml", "--protocol", "fuzzed_protocol"],
    ["bench", "diff", "runs/toy", "m.json"],
    ["bench", "reproduce", "--protocol", "fuzzed_protocol"],
    ["info"], ["list"], ["cite"], ["data", "path"], ["data", "verify"], ["data", "list"], ["fit", "--config"], [],
    ["bench"],
)  # fmt: skip
OPTIONS = {
    "bench run": ("--store", "--seeds", "--workers", "--executor", "--html", "--cell-timeout", "--logger", "--root"),
    "bench report": ("--store", "--seeds", "--format", "--output", "--root"),
    "bench export": ("--store", "--seeds", "--metrics", "--output", "--root"),
    "bench status": ("--store", "--seeds", "--root"),
    "bench compare": ("--store", "--seeds"),
    "bench diff": ("--tolerance",),
    "bench reproduce": ("--store",),
}
DOWNLOADS = ({"data", "fetch"}, {"rank-backbones"}, {"fit"}, {"quickstart"}, {"ray"}, {"slurm"}, {"pool"})
"""Words that together start what is no matter of words: downloads, trainings, clusters."""


def fuzz_commands(folder: Path, chance: random.Random, count: int) -> Iterator[tuple[str, str, str]]:
    """Run mutated command lines; yield (what, how it ended, what it said)."""
    _store(folder)
    ended(
        lambda: cli(["bench", "export", "toy.yaml", "--protocol", "fuzzed_protocol", "--metrics", "--output", "m.json"])
    )
    done = 0
    while done < count:
        words = list(chance.choice(STARTS))
        for _ in range(chance.choice((1, 1, 2, 3))):
            if chance.random() < 0.6 and (known := OPTIONS.get(" ".join(words[:2]))):
                words += [chance.choice(known), chance.choice(WORDS)]
            else:
                words.insert(chance.randrange(len(words) + 1), chance.choice(WORDS))
        if chance.random() < 0.1 and words:
            words.pop(chance.randrange(len(words)))
        if any(each <= set(words) for each in DOWNLOADS) and "--help" not in words:
            continue
        done += 1
        yield " ".join(map(repr, words)), *ended(lambda words=words: cli(words))


KINDS: dict[str, Callable[[Path, random.Random, int], Iterator[tuple[str, str, str]]]] = {
    "suites": fuzz_suites,
    "results": fuzz_results,
    "commands": fuzz_commands,
}


def fuzz(kind: str, count: int, *, seed: int = 0) -> tuple[dict[str, int], list[Fault]]:
    """Return how many mutants of a kind ended how, and the faults."""
    counts, faults = {"result": 0, "mistake": 0, "fault": 0}, []
    with world() as folder:
        for what, how, said in KINDS[kind](folder, random.Random(seed), count):
            counts[how] += 1
            if how == "fault":
                faults.append(Fault(what, said))
    return counts, faults


def main() -> int:
    """Fuzz and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = False
    for kind in options.kinds:
        counts, faults = fuzz(kind, options.count or COUNTS[kind], seed=options.seed)
        for fault in faults:
            print(f"{kind}: {fault.why}\n    {fault.what[:400]}")
        ends = f"{counts['result']} valid, {counts['mistake']} mistakes in one line, {counts['fault']} faults"
        print(f"{kind}: {sum(counts.values())} mutants, {ends}")
        failed |= bool(faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
