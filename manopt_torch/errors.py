"""The error tree: every error is a `ManoptError` and the builtin that Python users would catch."""


class ManoptError(Exception):
    """Base of all errors raised on purpose by `manopt_torch`.

    Examples:
        >>> issubclass(ShapeError, ManoptError) and issubclass(ShapeError, ValueError)
        True
    """


class ShapeError(ManoptError, ValueError):
    """A tensor has another shape than its role asks for; the message names both shapes and the cure."""


class OptionsError(ManoptError, ValueError):
    """A parameter is out of its range, or options and problem do not fit together."""


class UnknownKeywordError(OptionsError, TypeError):
    """A keyword is none of those that a function or constructor takes; the message lists them."""


class NotOnManifoldError(ManoptError, ValueError):
    """A point is off the manifold, or a vector off the tangent space, by more than the dtype's tolerance."""


class NonFiniteError(ManoptError, ArithmeticError):
    """A start holds NaN or infinity, or every problem of the batch has a non-finite cost or gradient at its start."""


class MissingDerivativeError(ManoptError, TypeError):
    """A derivative, proximal map or other piece that a solver needs is neither given nor obtainable."""


class UnknownSymbolError(ManoptError, LookupError):
    """A debug or record symbol names neither an action nor a field of the options."""
