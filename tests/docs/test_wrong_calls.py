"""The page of wrong calls says what the calls say; none passes in silence, and no setting takes anything."""

import importlib.util
import inspect
from pathlib import Path

import pytest

from tlzoo.backbones import create_backbone
from tlzoo.methods.conformance.scenario import SHAPE
from tlzoo.nn.network import Network
from tlzoo.registry import list_methods, method_class

SPEC = importlib.util.spec_from_file_location("wrong_calls", Path(__file__).parents[2] / "docs/wrong_calls.py")
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


@pytest.fixture(scope="module")
def messages():
    return list(script.messages())


def test_there_are_more_than_a_hundred_and_each_ends_in_one_clear_line(messages):
    assert len(messages) > 150
    for _, call, message in messages:
        kind, _, text = message.partition(": ")
        assert kind != "no error", call
        assert "\n" not in text, call
        assert " " in text, call
        raw = ("not supported between", "unexpected type", "negative dimension", "must be tuple of ints")
        assert not any(words in text for words in raw), message


def test_the_page_is_what_they_say_now():
    """Names that are suggested change with every new method; all else must stand as it is said."""

    def lasting(text):
        return [line for line in text.splitlines() if "did you mean" not in line and "expected one of" not in line]

    assert lasting(script.PAGE.read_text(encoding="utf-8")) == lasting(script.page()), "run python docs/wrong_calls.py"


def settings_of(name):
    cls = method_class(name)
    taken = inspect.signature(cls).parameters
    shape = {key: value for key, value in SHAPE.items() if key in taken}
    network = create_backbone("mlp", num_inputs=4, hidden=[3])
    model = {"model": Network(network, 3, bottleneck=3)} if "model" in taken else {}
    return cls, taken, shape | model | dict(cls.variants[0])


@pytest.mark.parametrize("name", [name for name in list_methods() if name != "zeroshot/nli"])
def test_no_number_flag_or_choice_of_a_method_takes_anything(name):
    cls, taken, given = settings_of(name)
    for setting, parameter in taken.items():
        default = given.get(setting, parameter.default)
        if isinstance(default, bool):
            wrong = ["yes", None, 2]
        elif isinstance(default, int):
            wrong = ["x", 2.5 if setting != "alpha" else "x", True] + [-1] * setting.startswith("num_")
        elif isinstance(default, float):
            wrong = ["x", float("nan"), float("inf"), True]
        elif isinstance(default, str) and "Literal" in str(parameter.annotation):
            wrong = ["nonsense", 3]
        else:
            continue
        for value in wrong:
            with pytest.raises((ValueError, TypeError), match=f"^(unknown )?{setting} {value!r}; expected "):
                cls(**{**given, setting: value})
