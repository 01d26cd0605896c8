# SPDX-License-Identifier: Apache-2.0
"""Reading YAML, and the checkers that tests/manifests/install has fetched."""
import os
import site
import subprocess
import unittest
from pathlib import Path


def fetched():
    folder = os.environ.get("SL_MANIFESTS")
    if not folder:
        raise unittest.SkipTest("SL_MANIFESTS is not set; see tests/manifests/README.md")
    return Path(folder)


def checker(name, *args):
    """(exit status, what it said)"""
    r = subprocess.run([fetched() / "bin" / name, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=120, check=False)
    return r.returncode, r.stdout


def library(name):
    """A module of the virtual environment, of the same Python as this one."""
    for packages in (fetched() / "lib").glob("python3*/site-packages"):
        site.addsitedir(packages)
    return __import__(name)


def documents(path):
    return [d for d in library("yaml").safe_load_all(path.read_text(encoding="utf-8")) if d]
