"""Properties that every method must have, checked from its declaration; also for your own methods.

>>> from tlzoo.methods.conformance import check_method
>>> check_method("adaptation/deep_coral")

A method is checked on small random data of its family, with each of the settings in its ``variants``. Nothing here
depends on the name of a method.
"""

from tlzoo.methods.conformance.checks import CHECKS, ConformanceError, check_method
from tlzoo.methods.conformance.families import scenarios
from tlzoo.methods.conformance.scenario import SHAPE, Scenario

__all__ = ["CHECKS", "SHAPE", "ConformanceError", "Scenario", "check_method", "scenarios"]
