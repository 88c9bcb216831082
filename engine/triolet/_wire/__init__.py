"""Bytes to commands and events to bytes, in msgpack and JSON; WebSocket frames. Total and bounded."""
