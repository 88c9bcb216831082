// A chat server on Socket.IO, tuned as its documentation advises: `ws` as its engine with its
// native add-on, no long-polling, no compression, no handshake request kept.
//
// `join` and `send` are acknowledged. With BENCH_RECOVERY it also recovers connection state,
// as Socket.IO does it, and keeps a log in memory for those that come back without it:
// `history {room, after}` is acknowledged by `{head, messages}`.

const { Server } = require("socket.io");
const jwt = require("jsonwebtoken");

const SECRET = process.env.BENCH_SECRET;
const RECOVERS = Boolean(process.env.BENCH_RECOVERY);
const DISCONNECTED_MS_MAX = 120_000;

// By room: how many messages there were, and, where it recovers, all of them.
const heads = new Map();
const logs = new Map();

const options = {
  transports: ["websocket"],
  serveClient: false,
  perMessageDeflate: false,
  httpCompression: false,
};
if (RECOVERS) {
  options.connectionStateRecovery = { maxDisconnectionDuration: DISCONNECTED_MS_MAX };
}

const http = require("node:http").createServer();
const io = new Server(http, options);

io.engine.on("connection", (connection) => {
  connection.request = null;
});

io.use((socket, next) => {
  try {
    const { token } = socket.handshake.auth;
    socket.data.user = jwt.verify(token, SECRET, { algorithms: ["HS256"] }).sub;
    next();
  } catch (error) {
    next(error);
  }
});

function keep(message) {
  if (!logs.has(message.room)) {
    logs.set(message.room, []);
  }
  logs.get(message.room).push(message);
}

io.on("connection", (socket) => {
  socket.on("join", ({ room }, ack) => {
    socket.join(room);
    ack({ room });
  });
  socket.on("send", ({ room, text }, ack) => {
    const seq = (heads.get(room) ?? 0) + 1;
    heads.set(room, seq);
    const message = { room, seq, from: socket.data.user, text };
    if (RECOVERS) {
      keep(message);
    }
    socket.to(room).emit("message", message);
    ack({ seq });
  });
  if (RECOVERS) {
    socket.on("history", ({ room, after }, ack) => {
      ack({ head: heads.get(room) ?? 0, messages: (logs.get(room) ?? []).slice(after) });
    });
  }
});

http.listen(0, "127.0.0.1", () => {
  console.log(`listening on 127.0.0.1:${http.address().port}`);
});
