"""Notifications: reaching people who are not looking."""
