# SPDX-License-Identifier: Apache-2.0
"""A build whose processor is one of the mutants of tests/mutants/table.py."""
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

from stack import ROOT

MUTANTS = os.path.join(ROOT, "tests", "mutants")
PROCESSOR = "processor/streamlens-processor"
OTHERS = ("ingest-api", "metrics-api", "deploy", "tests")


def mutants_run():
    """tests/mutants/run, which knows how to build one, as a module."""
    sys.path.append(MUTANTS)
    loader = importlib.machinery.SourceFileLoader("mutants_run", os.path.join(MUTANTS, "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def plant(name, build, folder):
    """A folder to be taken for SL_BUILD: the build's programs, but for the processor."""
    run = mutants_run()
    mutant = next(m for m in run.MUTANTS if m.name == name)
    os.makedirs(os.path.join(folder, "processor"))
    for other in OTHERS:
        os.symlink(os.path.join(os.path.abspath(build), other), os.path.join(folder, other))
    made = run.Build(build, [PROCESSOR])
    obj = Path(folder) / "mutant.o"
    made.compile(mutant.file, run.mutated(mutant), obj)
    made.link(PROCESSOR, mutant.file, obj, Path(folder) / PROCESSOR)
    return folder
