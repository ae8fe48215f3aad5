"""Rows that are made of other methods: what these are counts in the row's identity."""

import textwrap

import pytest

from tlzoo.bench.planning_cache import Facts
from tlzoo.bench.suite_reader import load_suite
from tlzoo.bench.yaml_lines import SuiteError
from tlzoo.methods.adaptation import CORAL
from tlzoo.methods.zeroshot import ESZSL, CalibratedStacking

SUITE = """\
suite: parts
groups:
  - title: Unseen
    kind: zeroshot
    tasks: [unseen]
    methods:
      - method: csls
        settings: {base: eszsl, base_settings: {gamma: 2.0}}
      - method: inverted_softmax
        settings: {base: calibrated_stacking, base_settings: {base: eszsl, gamma: 0.1}}
"""


@pytest.fixture
def expand(tmp_path, home, protocol, loaded):  # noqa: ARG001  # the last two: the world it runs in
    def expand(text):
        path = tmp_path / "parts.yaml"
        path.write_text(textwrap.dedent(text))
        (group,) = load_suite(str(path)).groups
        return group.cells(Facts(protocol))

    return expand


def test_revisions_of_parts_are_in_the_hash(expand, monkeypatch):
    plain, nested = expand(SUITE)
    assert plain.revisions == {"method": 1, "method/base": 1, "protocol": 1, "schema": 1}
    assert nested.revisions["method/base/base"] == 1
    monkeypatch.setattr(ESZSL, "revision", 2)
    monkeypatch.setattr("tlzoo.bench.planning_cache.code_fingerprint", lambda _: "another state of the code")
    raised = expand(SUITE)
    assert [cell.revisions["method/base"] for cell in raised] == [2, CalibratedStacking.revision]
    assert raised[1].revisions["method/base/base"] == 2
    assert {cell.hash for cell in raised}.isdisjoint({plain.hash, nested.hash})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "base: eszsl, base_settings: {gamma: 2.0}",
            "base: eszls",
            "parts.yaml:7: unknown method 'zeroshot/eszls'; did",
        ),
        ("{gamma: 2.0}", "{gama: 2.0}", "parts.yaml:7: zeroshot/eszsl: unknown setting 'gama'; did you mean 'gamma'"),
        (
            "settings: {base: eszsl, base_settings: {gamma: 2.0}}",
            "candidates: {base: [eszsl, ridge]}",
            "parts.yaml:7: zeroshot/csls: base defines the row and cannot be tuned; write a row for each",
        ),
    ],
)
def test_mistakes_in_parts_are_named_with_their_line(expand, old, new, message):
    assert SUITE.count(old) == 1
    with pytest.raises(SuiteError) as caught:
        expand(SUITE.replace(old, new))
    assert str(caught.value).startswith(message)


DOMAIN = """\
suite: transforms
groups:
  - title: Aligned first
    kind: domain
    tasks: [digits:mnist5k->optdigits]
    backbones: [pixels]
    methods:
      - dan
      - {method: dan, label: aligned, module: {transform: coral}}
      - {method: dan, label: chosen, candidates: {transform: [null, coral, linear_ot]}}
    budget: {steps: 10, batch_size: 4}
    module: {frozen: true}
"""


def test_the_revision_of_a_transform_is_in_the_hash(tmp_path, monkeypatch):
    path = tmp_path / "transforms.yaml"

    def cells(text=DOMAIN):
        path.write_text(text)
        (group,) = load_suite(str(path)).groups
        fact = {"name": "a->b", "kind": "domain", "checksum": "c", "modality": "image", "code": {}, "data": {}}
        monkeypatch.setattr(Facts, "task", lambda *_: fact)
        return group.cells(Facts("tlzoo.bench.protocols"))

    plain, aligned, chosen = cells()
    assert not any(name.startswith("transform") for name in plain.revisions)
    assert aligned.revisions["transform/adaptation/coral"] == CORAL.revision
    assert {"transform/adaptation/coral", "transform/adaptation/linear_ot"} <= set(chosen.revisions)
    for old, new, message in (
        ("transform: coral", "transform: corral", r"unknown method 'corral'; did you mean '.*coral'"),
        ("transform: coral", "transform: dan", "transform: adaptation/dan is no FeatureTransform"),
        ("{method: dan, label: aligned", "{method: shot, label: aligned", "adaptation/shot takes no transform; only"),
    ):
        with pytest.raises(SuiteError, match=rf"transforms.yaml:9: {message}"):
            cells(DOMAIN.replace(old, new))
