"""What a block raised, told apart from what nurseries made of it."""

import trio


def is_alone(error: BaseException, group: BaseExceptionGroup) -> bool:
    """Whether a group says nothing but `error`: tasks that were cancelled add nothing to it.

    >>> error = ValueError()
    >>> is_alone(error, ExceptionGroup("", [ExceptionGroup("", [error])]))
    True
    """
    leaves = leaves_of(group)
    others = [leaf for leaf in leaves if leaf is not error and not isinstance(leaf, trio.Cancelled)]
    return error in leaves and not others


def only_cancelled(error: BaseException) -> BaseException:
    """Return what remains of an error for whoever cancelled the task that raised it.

    What it raised on its way out was its own affair, unless it ends the program.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    cancelled, others = error.split(trio.Cancelled)
    is_harmless = others is None or isinstance(others, ExceptionGroup)
    return cancelled if cancelled is not None and is_harmless else error


def leaves_of(error: BaseException) -> list[BaseException]:
    """Return the exceptions that a group holds, or the one that is none.

    >>> leaves_of(ExceptionGroup("", [ValueError(1), ExceptionGroup("", [KeyError(2)])]))
    [ValueError(1), KeyError(2)]
    """
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves_of(inner)]
    return [error]
