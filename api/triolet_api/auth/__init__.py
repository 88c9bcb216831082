"""Accounts: who signs in here, and the tokens they get.

- `names`, `passwords`: what an account may be called, and what guards it.
- `hashing`: argon2id, in threads of its own, with a bounded queue.
- `accounts`, `invites`: what is kept of people who registered, or may.
- `family`, `families`: refresh tokens, which rotate, and end together when one is used twice.
- `issuing`: access tokens and the keys that sign them.
- `signing_in`, `administering`: what becomes of all of these, as one story.
- `sign_in`, `own`, `own_data`, `administration`: the endpoints.
- `command`, `rotation`: `triolet user` and `triolet keys`.
"""
