import json
import pickle

import numpy as np
import pytest

from tlzoo.bench import Cell, Outcome
from tlzoo.bench.cell import canonical


def make(**changes):
    values = {
        "kind": "domain",
        "task": "emoji/category:google->twitter",
        "backbone": "efficientnet_lite0",
        "method": "confusion/cdan",
        "settings": {"entropy": True},
        "module": {"lr": 0.01, "betas": [0.9, 0.99]},
        "budget": {"steps": 400},
        "seed": 3,
        "task_checksum": "0123456789abcdef",
        "revisions": {"method": 1, "protocol": 1, "schema": 1},
    }
    return Cell(**{**values, **changes})


def test_the_hash_of_a_cell_never_changes():
    assert make().hash == "ee088fef3f291f98"


def test_order_of_settings_is_no_identity():
    assert make(budget={"a": 1, "b": 2}).hash == make(budget={"b": 2, "a": 1}).hash


@pytest.mark.parametrize("name", ["label", "root"])
def test_presentation_is_no_identity(name):
    assert make(**{name: "other"}).hash == make().hash


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "finetuning"),
        ("task", "digits"),
        ("backbone", None),
        ("method", "confusion/dann"),
        ("settings", {}),
        ("module", {"lr": 0.1}),
        ("budget", {"steps": 401}),
        ("candidates", {"weight": [1, 2]}),
        ("seed", 4),
        ("threads", 2),
        ("task_checksum", "f"),
        ("revisions", {"method": 2, "protocol": 1, "schema": 1}),
    ],
)
def test_everything_else_is_identity(name, value):
    assert make(**{name: value}).hash != make().hash


def test_round_trips_through_json_and_pickle():
    cell = make(label="CDAN+E", candidates={"weight": [0.1, 1.0]})
    for copy in (Cell.from_json(json.loads(json.dumps(cell.to_json()))), pickle.loads(pickle.dumps(cell))):
        assert copy == cell
        assert copy.hash == cell.hash
        assert copy.label == "CDAN+E"


def test_nobody_changes_a_cell():
    cell = make()
    with pytest.raises(TypeError):
        cell.module["lr"] = 1
    assert cell.module["betas"] == (0.9, 0.99)


def test_a_cell_is_read_by_its_label():
    assert str(make()) == "confusion/cdan, emoji/category:google->twitter on efficientnet_lite0, seed 3"


def test_what_is_not_json_is_refused():
    with pytest.raises(TypeError):
        canonical({"a": object()})
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="expected one of domain, multitask"):
        make(kind="regression")


def test_an_outcome_is_checked():
    with pytest.raises(ValueError, match="without metrics"):
        Outcome(metrics={})
    with pytest.raises(ValueError, match="differ in length: x 2, y 1"):
        Outcome(metrics={"a": 1.0}, series={"curve": {"x": [1, 2], "y": [1]}})
    assert isinstance(Outcome(metrics={"a": 1.0}, predictions={"test": [1, 2]}).predictions["test"], np.ndarray)
