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
