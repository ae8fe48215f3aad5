"""Errors that are mistakes of the user's: of what is given to suites, stores, tasks, data, networks and modules.

The command line shows them in one line; every other error is a bug and shows its traceback. Each is a Python error,
too, so ``except ValueError`` catches an :class:`InputError`. Functions and methods, the mathematics, raise Python's
own errors.

>>> import tlzoo
>>> try:
...     tlzoo.load_task("digit:mnist->optdigits")
... except UserError as error:
...     print(type(error).__name__)
InputError
"""

__all__ = ["InputError", "InputTypeError", "MissingFileError", "MissingPackageError", "NotFiniteError", "UserError"]


class UserError(Exception):
    """A mistake; the message says in one line what was given, what was expected and what to do."""


class InputError(UserError, ValueError):
    """A value that cannot be used."""


class InputTypeError(UserError, TypeError):
    """A value of a type that cannot be used."""


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that is not there."""


class NotFiniteError(InputError, FloatingPointError):
    """A number that is NaN or Inf."""


class MissingPackageError(UserError, ModuleNotFoundError):
    """A package that is not installed; the message names the extra of tlzoo that brings it."""
