"""The protocol without WebSocket: server-sent events one way, requests the other."""
