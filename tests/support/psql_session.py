# SPDX-License-Identifier: Apache-2.0
"""A psql that stays connected: a statement takes a millisecond, and no process of its own."""
import os
import subprocess
import threading


class Session:
    END = "--end of answer--"

    def __init__(self, dsn):
        self.psql = subprocess.Popen(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", dsn],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     env={**os.environ, "PGTZ": "UTC"})
        self.lock = threading.Lock()

    def __call__(self, statement):
        """The lines of its answer."""
        with self.lock:
            self.psql.stdin.write(f"{statement};\n\\echo {self.END}\n")
            self.psql.stdin.flush()
            lines = []
            for line in self.psql.stdout:
                if line.strip() == self.END:
                    return lines
                lines.append(line.rstrip("\n"))
        raise AssertionError(f"{statement}: failed")

    def close(self):
        self.psql.kill()
        self.psql.wait()
        self.psql.stdin.close()
        self.psql.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
