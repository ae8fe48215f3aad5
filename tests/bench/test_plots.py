import re
import warnings

import pytest

from tlzoo.bench.report.plots import _draw, _legend
from tlzoo.bench.report.svg import new_figure, style, to_svg


@pytest.mark.parametrize("rows", [2, 12, 31, 60])
def test_a_plot_has_room_for_the_names_of_all_rows(rows):
    with style(), warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib says so where no room is left for the axes
        figure, axes = new_figure(3.2)
        for place in range(rows):
            _draw(axes, place, [1, 2], [0.0, place], f"a method of some length {place}", oracle=False)
        _legend(axes, rows)
        text = to_svg(figure, "curves")
    assert text.count("method of some length") == rows


def test_identifiers_are_of_one_plot_and_only_those_that_are_referred_to():
    texts = []
    for salt in ("first", "second"):
        with style():
            figure, axes = new_figure(3.2)
            axes.plot([1, 2, 3], [0.123456, 0.2, 0.3], marker="o")
            texts.append(to_svg(figure, salt))
    identifiers = [re.findall(r'\bid="([^"]*)"', text) for text in texts]
    referred = [set(re.findall(r'(?:xlink:href="|url\()#([^")]*)', text)) for text in texts]
    assert [set(own) for own in identifiers] == referred
    assert [len(own) for own in identifiers] == [len(set(own)) for own in identifiers]
    assert not set(identifiers[0]) & set(identifiers[1])
    assert not re.search(r"\d\.\d{3}", texts[0])
