// A chat server on `ws`, as its users write one: the plain protocol (see `peers/plain.py`).

const { createSecretKey } = require("node:crypto");
const { WebSocketServer, WebSocket } = require("ws");
const jwt = require("jsonwebtoken");

const PORT = Number(process.argv[2]);
// A key, made once: a text would first be tried as a public key at each
// connection, which takes 30 times as long as verifying the token.
const SECRET = createSecretKey(Buffer.from(process.env.BENCH_SECRET));

// By name: who has joined, and how many messages there were.
const rooms = new Map();

function room_of(name) {
  let room = rooms.get(name);
  if (room === undefined) {
    room = { members: new Set(), seq: 0 };
    rooms.set(name, room);
  }
  return room;
}

function hello(client, { token }) {
  client.user = jwt.verify(token, SECRET, { algorithms: ["HS256"] }).sub;
  client.send(JSON.stringify({ op: "welcome", user: client.user }));
}

function join(client, { room }) {
  room_of(room).members.add(client);
  client.joined.add(room);
  client.send(JSON.stringify({ op: "joined", room }));
}

function send(client, { ref, room, text }) {
  const { members } = room_of(room);
  const seq = ++room_of(room).seq;
  // Once for all: each client would make bytes of a text again.
  const data = Buffer.from(
    JSON.stringify({ op: "message", room, seq, from: client.user, text }),
  );
  for (const member of members) {
    if (member !== client && member.readyState === WebSocket.OPEN) {
      member.send(data, { binary: false });
    }
  }
  client.send(JSON.stringify({ op: "ok", ref, seq }));
}

function leave(client) {
  for (const name of client.joined) {
    const room = rooms.get(name);
    room.members.delete(client);
    if (room.members.size === 0) {
      rooms.delete(name);
    }
  }
}

const commands = { hello, join, send };

const server = new WebSocketServer({ host: "127.0.0.1", port: PORT, perMessageDeflate: false });

server.on("connection", (client) => {
  client.user = undefined;
  client.joined = new Set();
  client.on("error", console.error);
  client.on("close", () => leave(client));
  client.on("message", (data) => {
    try {
      const command = JSON.parse(data);
      if (client.user === undefined && command.op !== "hello") {
        throw new Error("hello comes first");
      }
      commands[command.op](client, command);
    } catch (error) {
      client.close(1008, error.message);
    }
  });
});

server.on("listening", () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
