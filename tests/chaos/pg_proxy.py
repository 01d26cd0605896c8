# SPDX-License-Identifier: Apache-2.0
"""Stands between each processor and PostgreSQL, on a port of that processor's own, and does harm at a chosen
moment of its conversation. So "killed after BEGIN" needs nothing in the processor: whoever speaks on the port is
the process to kill."""
import asyncio
import os
import signal
import threading

# Moments of a conversation, by what the client sends.
CLAIM, BEGIN, COPY, COMMIT, ANY = "claim", "BEGIN", "COPY", "COMMIT", "any"
QUERIES = {b"SET LOCAL": CLAIM, b"BEGIN\0": BEGIN, b"COMMIT\0": COMMIT}


class Frames:
    """Which moments lie in what the client sends; messages may be cut anywhere."""

    def __init__(self):
        self.started = False
        self.skip = 0
        self.rest = bytearray()

    def feed(self, data):
        seen = {ANY}
        self.rest += data
        while self.rest:
            if self.skip:
                n = min(self.skip, len(self.rest))
                del self.rest[:n]
                self.skip -= n
            elif not self.message(seen):
                break
        return seen

    def message(self, seen):
        """Looks at the head of a message; False where more of it has to come."""
        if len(self.rest) < (5 if self.started else 8):
            return False
        if not self.started:  # such messages have no type
            self.started = int.from_bytes(self.rest[4:6], "big") == 3  # else a question about encryption
            self.skip = int.from_bytes(self.rest[:4], "big")
            return True
        size = 1 + int.from_bytes(self.rest[1:5], "big")
        if self.rest[:1] == b"d":
            seen.add(COPY)
        elif self.rest[:1] == b"Q":
            if len(self.rest) < min(size, 14):
                return False
            for text, moment in QUERIES.items():
                if self.rest.startswith(text, 5):
                    seen.add(moment)
        self.skip = size
        return True


class Trap:
    """Springs once, at the moment, on a connection of one client. kind: one of Conversation's spring_ methods."""

    def __init__(self, moment, kind, seconds=0.0):
        self.moment, self.kind, self.seconds = moment, kind, seconds
        self.sprung = threading.Event()


class Conversation:
    """One connection: two copying loops, and what a trap does to them. A spring_ method returns whether the bytes
    at hand go on to the server."""

    def __init__(self, client, reader, writer):
        self.client = client
        self.reader, self.writer = reader, writer
        self.server_reader = self.server_writer = None
        self.frames = Frames()
        self.answers = "pass"  # or "drop", "silence"
        self.delay_s = 0.0
        self.bytes_per_s = None
        self.cut_after_answer = False

    async def run(self, target_port):
        try:
            self.server_reader, self.server_writer = await asyncio.open_connection("127.0.0.1", target_port)
        except OSError:
            self.writer.transport.abort()
            return
        await asyncio.gather(self.upwards(), self.downwards())

    def cut(self):
        self.writer.transport.abort()
        self.server_writer.transport.abort()

    async def upwards(self):
        try:
            while data := await self.reader.read(65536):
                trap = self.client.trap_for(self.frames.feed(data))
                if trap and not await getattr(self, "spring_" + trap.kind)(trap, data):
                    continue
                await self.send_up(data)
        except OSError:
            pass
        self.cut()

    async def send_up(self, data):
        if self.bytes_per_s:
            await asyncio.sleep(len(data) / self.bytes_per_s)
        self.server_writer.write(data)
        await self.server_writer.drain()

    async def downwards(self):
        try:
            while data := await self.server_reader.read(65536):
                if self.answers == "drop":
                    break
                if self.answers == "silence":
                    continue
                if self.delay_s:
                    delay_s, self.delay_s = self.delay_s, 0.0
                    await asyncio.sleep(delay_s)
                self.writer.write(data)
                await self.writer.drain()
        except OSError:
            pass
        self.cut()

    # ---- what traps do ----

    async def spring_kill_before(self, trap, _):
        """The client dies, and the server hears nothing of it but the end of the connection."""
        self.client.signal(signal.SIGKILL)
        return False

    async def spring_kill_after(self, trap, data):
        """The client dies having sent this."""
        await self.send_up(data)
        self.client.signal(signal.SIGKILL)
        return False

    async def spring_stop(self, trap, data):
        """The client stops for a time, then runs on as if nothing had happened."""
        await self.send_up(data)
        self.client.signal(signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        loop.call_later(trap.seconds, self.client.signal, signal.SIGCONT)
        return False

    async def spring_cut_before(self, *_):
        self.cut()
        return False

    async def spring_cut_client(self, trap, data):
        """The client loses the connection; the server goes on for a time with what it got."""
        self.server_writer.write(data)
        self.answers = "silence"
        self.writer.transport.abort()
        await asyncio.sleep(trap.seconds)
        self.cut()
        return False

    async def spring_drop_answer(self, *_):
        """The server does it, and the connection ends instead of an answer."""
        self.answers = "drop"
        return True

    async def spring_silence(self, trap, _):
        """The server does it, and nothing is heard of it any more."""
        self.answers = "silence"
        asyncio.get_running_loop().call_later(trap.seconds, self.cut)
        return True

    async def spring_delay(self, trap, _):
        self.delay_s = trap.seconds
        return True

    async def spring_slow(self, trap, _):
        self.bytes_per_s = 20_000

        def fast():
            self.bytes_per_s = None
        asyncio.get_running_loop().call_later(trap.seconds, fast)
        return True


class Client:
    """A port, and the process that connects to it."""

    def __init__(self, pid):
        self.pid = pid  # a function: the process may be another one by then
        self.port = None
        self.traps = []
        self.lock = threading.Lock()

    def trap_for(self, moments):
        with self.lock:
            for trap in self.traps:
                if trap.moment in moments:
                    self.traps.remove(trap)
                    trap.sprung.set()
                    return trap
        return None

    def signal(self, number):
        try:
            os.kill(self.pid(), number)
        except ProcessLookupError:
            pass


class PgProxy:
    """Runs in a thread of its own."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.clients = {}
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def add(self, name, pid):
        """A port for the process whose pid the function tells."""
        client = self.clients[name] = Client(pid)

        async def serve():
            async def connected(reader, writer):
                await Conversation(client, reader, writer).run(self.target_port)
            server = await asyncio.start_server(connected, "127.0.0.1", 0)
            client.port = server.sockets[0].getsockname()[1]
        asyncio.run_coroutine_threadsafe(serve(), self.loop).result(10)
        return client.port

    def set_trap(self, name, trap):
        client = self.clients[name]
        with client.lock:
            client.traps.append(trap)
        return trap

    def take_back(self, name, trap):
        """Whether it had sprung."""
        client = self.clients[name]
        with client.lock:
            if trap in client.traps:
                client.traps.remove(trap)
        return trap.sprung.is_set()
