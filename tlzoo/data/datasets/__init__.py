"""The data sets, one module each: how a source is read, and the tasks that are made of it.

To add one, see ``docs/adding-a-data-set.md``.
"""
