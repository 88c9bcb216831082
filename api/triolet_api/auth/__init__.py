"""Accounts: who signs in here, and the tokens they get."""
