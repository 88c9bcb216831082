"""What a target raises when the engine did something it must not do."""


class Violation(Exception):
    """A promise was broken; its words say which, without the input's own bytes."""


class Hang(Violation):
    """An input took longer than any input may."""
