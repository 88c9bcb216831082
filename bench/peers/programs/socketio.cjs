// A chat server on Socket.IO, tuned as its documentation advises: `ws` as its engine with its
// native add-on, no long-polling, no compression, no handshake request kept.
//
// `join` and `send` are acknowledged. With BENCH_RECOVERY it recovers connection state, in memory,
// as Socket.IO does it. A client whose state was not recovered (it was away for too long, or the
// server is another) asks for what it missed, as its documentation advises: `resume {epoch,
// rooms: {ROOM: SEQ}}` joins the rooms and is acknowledged by `{epoch, rooms: {ROOM: MESSAGES}}`.
// The log is in memory too: of another epoch than the client's it gives everything.

const { createSecretKey } = require("node:crypto");
const { createServer } = require("node:http");
const { Server } = require("socket.io");
const jwt = require("jsonwebtoken");

const PORT = Number(process.argv[2]);
// A key, made once: a text would first be tried as a public key at each
// connection, which takes 30 times as long as verifying the token.
const SECRET = createSecretKey(Buffer.from(process.env.BENCH_SECRET));
const RECOVERS = Boolean(process.env.BENCH_RECOVERY);
const DISCONNECTED_MS_MAX = 120_000;
const EPOCH = `${process.pid}-${Date.now()}`;

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
  options.connectionStateRecovery = {
    maxDisconnectionDuration: DISCONNECTED_MS_MAX,
    // The token is verified again, as everybody else here does it.
    skipMiddlewares: false,
  };
}

const http = createServer();
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
    socket.on("resume", ({ epoch, rooms }, ack) => {
      socket.join(Object.keys(rooms));
      const missed = {};
      for (const [room, seq] of Object.entries(rooms)) {
        missed[room] = (logs.get(room) ?? []).slice(epoch === EPOCH ? seq : 0);
      }
      ack({ epoch: EPOCH, rooms: missed });
    });
  }
});

http.listen(PORT, "127.0.0.1", () => {
  console.log(`listening on 127.0.0.1:${http.address().port}`);
});
