"""python -m benchmarks [names] [--seconds s] [--threads n] [--output folder]

Runs all benchmarks, or those named, prints their table, and brings table.md and times.png in the output folder up to
date: benchmarks that did not run keep the results of their last run, which measurements.json remembers. Linux only.
"""
from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
import sys
from pathlib import Path

NAMES = ["rosenbrock", "digits_step", "h1", "h2", "h3", "elements", "jacobian_axis", "h4", "h5", "w4", "pinn",
         "h6", "h6_large", "h6_cold", "h6_large_cold", "h7", "h8", "h9", "h10", "adam_update",
         "adam_loop", "checkpoint", "gmm", "hand", "per_sample", "architectures", "image_reading", "trainnet_step",
         "small_step", "resnet", "lstm", "lstm_loop", "gpt", "predict_chain", "operations"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="gradloom beside its rivals")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; default all")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each contender (default 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="for all contenders (default all cores)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results",
                        help="folder for the table and the plot")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in NAMES]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return given


def use_threads(count: int) -> None:
    """The same number of cores for every library, said before they are imported; memory stays with the process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(count)
    import torch

    torch.set_num_threads(count)

    import gradloom

    gradloom.keep_memory()


def machine(threads: int) -> str:
    import numpy
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")),
                     platform.machine())
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, NumPy {numpy.__version__}"
    return f"{processor}, {threads} of {os.cpu_count()} cores, {versions}"


def main() -> int:
    given = arguments()
    use_threads(given.threads)
    from . import report
    from .harness import measure

    fresh = {}
    for name in given.names or NAMES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        benchmark = importlib.import_module(f".{name}", __package__).benchmark()
        measurements = measure(benchmark.contenders, given.seconds, benchmark.reference(), benchmark.tolerance)
        fresh[name] = {
            "work": benchmark.work, "tolerance": benchmark.tolerance,
            "measurements": [m.record() for m in measurements],
            "further": benchmark.further(given.seconds) if benchmark.further else "",
            "machine": machine(given.threads), "date": datetime.date.today().isoformat(),
        }
    print(f"\n{report.table(fresh)}\n\n{report.notes(fresh)}")

    store = given.output / "measurements.json"
    known = json.loads(store.read_text()) if store.exists() else {}
    merged = {name: (known | fresh)[name] for name in NAMES if name in known | fresh}
    report.write(merged, given.output)
    store.write_text(json.dumps(merged, indent=1) + "\n")
    print(f"table.md and times.png are in {given.output}")
    absent = [f"{name}, {m['name']}: {m['failure']}" for name, record in fresh.items() for m in record["measurements"]
              if m["role"] == "gradloom" and m["failure"]]
    if absent:
        print("not measured:", *absent, sep="\n  ", file=sys.stderr)
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())
