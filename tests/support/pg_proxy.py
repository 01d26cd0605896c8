# SPDX-License-Identifier: Apache-2.0
"""A proxy in front of PostgreSQL that can stop forwarding, as a network or a host that has gone does (the
sockets stay open, and nobody is told), or refuse everybody, as a server that is down does."""
import re
import socket
import threading


def end(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended


class PgProxy:
    """Listens on a free port of 127.0.0.1. Used with `with`, which closes everything."""

    def __init__(self, dsn):
        host, port = re.search(r"@([^/:]+):(\d+)/", dsn).groups()
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.changed = threading.Condition()
        self.sockets = []
        self.pattern = None   # what the client sends when its connection is to stall
        self.stalled = 0      # connections that have met the pattern
        self.stalling = []    # they
        self.all_stall = False
        self.refusing = False
        self.closed = False
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def dsn(self, dsn):
        """The same DSN, by way of the proxy and readable to it."""
        port = self.listener.getsockname()[1]
        return re.sub(r"@[^/:]+:\d+/", f"@127.0.0.1:{port}/", dsn) + "?sslmode=disable&gssencmode=disable"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.listener.shutdown(socket.SHUT_RDWR)  # or accept() would go on for ever
        self.acceptor.join()
        for s in [self.listener, *self.sockets]:
            s.close()

    # ---- what a test says ----

    def stall_after(self, pattern):
        """The next connection whose client sends the pattern gets it through, and then nothing more in
        either direction; not even an end. Until resume()."""
        with self.changed:
            self.pattern, self.stalled = pattern, 0

    def resume(self):
        with self.changed:
            for pair in self.stalling:
                pair["stalled"] = False
            self.changed.notify_all()

    def stall(self, on=True):
        """All connections, also new ones."""
        with self.changed:
            self.all_stall = on
            self.changed.notify_all()

    def refuse(self, on=True):
        """Ends all connections, and new ones as they come."""
        self.refusing = on
        if on:
            for s in self.sockets:
                end(s)

    # ---- forwarding ----

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            try:
                if self.refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(self.target)
            except OSError:
                client.close()  # the server is away, and that is how the client learns of it
                continue
            self.sockets += [client, server]
            pair = {"stalled": False}
            for source, target, is_client in ((client, server, True), (server, client, False)):
                threading.Thread(target=self.forward, args=(source, target, is_client, pair),
                                 daemon=True).start()

    def may_pass(self, pair):
        """Waits while the connection stalls; False once all is over."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or not (pair["stalled"] or self.all_stall))
            return not self.closed

    def forward(self, source, target, is_client, pair):
        try:
            while self.may_pass(pair):
                data = source.recv(65536)
                if not data or not self.may_pass(pair):
                    break
                target.sendall(data)
                with self.changed:
                    if is_client and self.pattern and self.pattern in data:
                        self.pattern, pair["stalled"] = None, True
                        self.stalled += 1
                        self.stalling.append(pair)
        except OSError:
            pass
        end(source)
        end(target)
