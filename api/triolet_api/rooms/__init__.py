"""Rooms and messages over HTTP, for services: each request is one question to the engine."""
