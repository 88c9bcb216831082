"""`triolet demo`: a server, two people, one crash, and the proof that nothing was lost.

options   the command line
show      the scenes, one after the other
server    the server: a real process, killed and started again
person    somebody who writes, reads and remembers everything they were told
proof     what must hold in the end; pure
stage     what is seen: both people's screens, side by side
"""

from .options import command as command
