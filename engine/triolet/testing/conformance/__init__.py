"""A conformance kit for clients in any language: wire vectors, and a server that misbehaves.

`python -m triolet.testing conformance -- node my_client.js` plays each scene of `scenarios`
with a fresh server and a fresh process of that program, and judges what it sent and printed.
`python -m triolet.testing conformance --vectors FILE` writes the wire vectors instead.

**What the program under test does.** It is a small program around the client to be proved:

- It reads its environment: `TRIOLET_URL` (`ws://…/ws`), `TRIOLET_TOKEN_URL` (an HTTP GET
  answers with a fresh token as plain text, each time another one), `TRIOLET_ROOM`, and
  `TRIOLET_SENDS`, a number.
- It connects, follows the room from now on, and as soon as it does sends as many messages,
  with the texts `1`, `2`, … as `{"text": "1"}`.
- It prints one line of JSON, at once, for each of these:

  =====================================  ====================================================
  `{"seen": 7, "text": "hello"}`         an entry of kind `message` is shown, with its seq
  `{"acked": "1", "seq": 7}`             one of its messages was acknowledged, with this seq
  `{"refused": "1", "reason": "…"}`      one of its messages was refused for good
  `{"back": 5}`                          what it showed above this seq was taken back (a fork)
  `{"history": [[6, "…"], [7, "…"]]}`    it dropped all that it showed, and shows this instead
  `{"closed": "removed"}`                the subscription was ended by the server
  `{"stopped": 4001}`                    the client has given up for good, with this close code
  =====================================  ====================================================

- It exits with 0 when it has shown a message with the text `end`, when its subscription has
  been closed, or when the client has given up.

`examples/conformance/` has such programs for Python and for JavaScript.
"""
