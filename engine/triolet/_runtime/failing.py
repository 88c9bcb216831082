"""What a block raised, told apart from what nurseries made of it."""

import trio


def is_alone(error: BaseException, group: BaseExceptionGroup) -> bool:
    """Whether a group says nothing but `error`: tasks that were cancelled add nothing to it.

    >>> error = ValueError()
    >>> is_alone(error, ExceptionGroup("", [ExceptionGroup("", [error])]))
    True
    """
    leaves = _leaves(group)
    others = [leaf for leaf in leaves if leaf is not error and not isinstance(leaf, trio.Cancelled)]
    return error in leaves and not others


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
