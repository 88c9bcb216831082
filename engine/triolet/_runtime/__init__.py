"""The tasks: what runs the domain against sockets, stores and clocks."""
