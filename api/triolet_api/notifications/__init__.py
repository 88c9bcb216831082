"""Notifications: what is told to somebody who is not looking.

A notification job is a doorbell, never the truth: what is sent is decided when it is sent, by
what somebody has read, wishes and was told by then. So a job too many does no harm.

`deciding` who is told what, and when · `preferences`, `devices` what a user says about it ·
`planning` what the engine's commits set off · `sending` what the jobs do · `providers` the ways
out: `web_push` (`encryption`, `vapid`), `webhook`, `mail` · `outgoing` requests that reach no
private network · `routes` HTTP.
"""
