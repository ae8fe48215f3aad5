"""Tasks on your own data: arrays, tables, texts, picture files, data sets.

One function for each type of transfer learning returns a task, which everything in tlzoo takes: data modules, suites,
:func:`tlzoo.register_task`.

>>> import numpy as np
>>> from tlzoo import tasks
>>> x, y = np.random.default_rng(0).normal(size=(30, 4)), ["a", "b", "c"] * 10
>>> task = tasks.domain(source=(x, y), target=x + 1)
>>> task.class_names
('a', 'b', 'c')
"""

from tlzoo.data.own import domain, episodes, fine_tuning, multitask, zero_shot

__all__ = ["domain", "episodes", "fine_tuning", "multitask", "zero_shot"]
