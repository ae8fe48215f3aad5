"""What every method must hold, generated from its declaration; for methods of one's own, too.

>>> from tlzoo.methods.conformance import check_method
>>> check_method("adaptation/deep_coral")

A method is checked on small random data of its family, under each of the settings that it names as ``variants``.
Nothing here knows a method by name.
"""

from tlzoo.methods.conformance.checks import CHECKS, ConformanceError, check_method
from tlzoo.methods.conformance.families import scenarios
from tlzoo.methods.conformance.scenario import SHAPE, Scenario

__all__ = ["CHECKS", "SHAPE", "ConformanceError", "Scenario", "check_method", "scenarios"]
