"""RFC 6455 clause by clause: a table of cases, and a client that plays them over a real socket.

The table covers what sections 1 to 7, 9, 10, 12 and 13 of the Autobahn test suite's fuzzing client
cover, whose numbers it repeats. That suite wants an echo; here a message comes back as the entry
of a room, so that each payload is seen to have arrived intact.
"""
