"""What HTTP beside them costs those on WebSockets: pings with and without pages asked for."""
