# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL cluster that a test may freeze, kill and start again."""
import os
import shutil
import signal
import socket
import subprocess

from stack import ROOT, freeze, wait_for


class OwnPostgres:
    """Below `home`, on `port`; not started yet."""

    def __init__(self, home, port):
        self.home, self.port = home, port
        shutil.rmtree(home, ignore_errors=True)

    def run(self, command):
        script = (f". {ROOT}/deploy/local/lib.sh; . {ROOT}/deploy/local/packages.sh;"
                  f" . {ROOT}/deploy/local/postgres.sh; STREAMLENS_HOME={self.home}; PG_PORT={self.port};"
                  f" PG_SCRATCH=1; SAY_FD=2; set -eu; mkdir -p {self.home}/log {self.home}/run; {command}")
        r = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=90, check=False)
        if r.returncode != 0:
            raise AssertionError(r.stdout + r.stderr)
        return r.stdout

    def start(self):
        self.run("postgres_start")

    def start_after_kill(self):
        def started():
            # The dead server's children may hold its shared memory for a moment.
            try:
                self.start()
                return True
            except AssertionError:
                return False
        wait_for(started, "PostgreSQL", 60, 0.5)

    def dsn(self):
        return self.run("postgres_admin_dsn").strip()

    def pid(self):
        with open(os.path.join(self.home, "run", "postgres.pid"), encoding="ascii") as f:
            return int(f.read())

    def kill(self):
        """As a crash: no farewell to anybody. Children end by themselves."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.answers(), "an end", 10)

    def children(self):
        return map(int, subprocess.run(["pgrep", "-P", str(self.pid())], capture_output=True, text=True,
                                       check=True).stdout.split())

    def freeze(self):
        freeze(self.pid())  # first: it must not fork any more
        for pid in self.children():
            freeze(pid)

    def thaw(self):
        # The parent last: until it goes on it reaps nobody, so each child named is there.
        for pid in [*self.children(), self.pid()]:
            os.kill(pid, signal.SIGCONT)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.run("postgres_stop; postgres_wipe")

    def standby(self, home, port):
        """A hot standby of this one, which follows it; started."""
        other = OwnPostgres(home, port)
        dsn = f"postgresql://postgres:{self.password()}@127.0.0.1:{self.port}/postgres"
        other.run(f"postgres_find; postgres_user_set; postgres_place; dir=$(readlink -f {home}/postgres);"
                  f" printf %s {self.password()} > $dir/password; chown --reference=$dir $dir/password; cd $dir;"
                  f" \"${{postgres_user[@]}}\" $PG_BIN/pg_basebackup -d {dsn} -D $dir/data -R -X stream -c fast")
        other.start()
        return other

    def password(self):
        return self.run("postgres_password").strip()
