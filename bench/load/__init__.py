"""The generator: one thread, one epoll, raw sockets; it counts only what it has verified."""
