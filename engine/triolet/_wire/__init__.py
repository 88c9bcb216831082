"""Bytes to commands, events to bytes, in msgpack and JSON; WebSocket frames. Total, bounded."""
