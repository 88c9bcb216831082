"""What can go wrong with a run, by whose fault."""


class Unexpected(Exception):
    """The server said something it should not have: the run is worth nothing."""


class Gone(Unexpected):
    """The server ended a connection, with or without a word."""


class ServerFailed(Exception):
    """The server did not start, or ended too early; carries the end of its log."""


class Missing(Exception):
    """A peer cannot be had on this machine. It is reported as missing, never as beaten."""
