"""The rules, pure and synchronous: `now` is an argument, tables stand before branches."""
