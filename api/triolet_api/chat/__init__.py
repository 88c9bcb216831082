"""A chat in the terminal: `triolet chat`.

Pure, and tested without a terminal or a server:

    text          what others wrote, made safe to show
    conversation  what is known of a room, changed by events; `changes`
    commands      what a line means
    words         what is said, as sentences; `status`: the rule above the line
    blocks        how a conversation looks; `scroll`: how it is painted, sequence by sequence
    keys, editor  what is pressed, and the line it makes

What acts:

    options       the command line, and who I am
    session       the chat behind its face; `deeds`: what each command does, `keepers`, `bell`
    face          what the two faces share: `screen` on a `terminal`, and `plain` lines
"""

from .options import command as command
