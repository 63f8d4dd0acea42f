"""The nonlinear regression problems of NIST's Statistical Reference Datasets, of lower and of average difficulty.

Data, second starting values, certified parameters and residual sums of squares are in nist_strd.json, as NIST published them
(https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml; works of the United States government, not subject to copyright).
"""

import json
import math
from pathlib import Path

import numpy as np

import gradloom as gl

DATA = json.loads((Path(__file__).parent / "nist_strd.json").read_text(encoding="utf-8"))


def _gauss(b, x):
    return b[0] * gl.exp(-b[1] * x) + b[2] * gl.exp(-(x - b[3]) ** 2 / b[4] ** 2) + b[5] * gl.exp(-(x - b[6]) ** 2 / b[7] ** 2)


def _lanczos(b, x):
    return b[0] * gl.exp(-b[1] * x) + b[2] * gl.exp(-b[3] * x) + b[4] * gl.exp(-b[5] * x)


def _chwirut(b, x):
    return gl.exp(-b[0] * x) / (b[1] + b[2] * x)


def _waves(b, x, length):
    angle = 2 * math.pi * x / length
    return b[0] * gl.cos(angle) + b[1] * gl.sin(angle)


MODELS = {
    "Misra1a": lambda b, x: b[0] * (1 - gl.exp(-b[1] * x)),
    "Chwirut2": _chwirut, "Chwirut1": _chwirut, "Lanczos3": _lanczos, "Gauss1": _gauss, "Gauss2": _gauss,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2.0),
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x ** 2) / (1 + b[3] * x + b[4] * x ** 2),
    "Hahn1": lambda b, x: (b[0] + b[1] * x + b[2] * x ** 2 + b[3] * x ** 3) / (1 + b[4] * x + b[5] * x ** 2 + b[6] * x ** 3),
    "Nelson": lambda b, x: b[0] - b[1] * x[0] * gl.exp(-b[2] * x[1]),
    "MGH17": lambda b, x: b[0] + b[1] * gl.exp(-x * b[3]) + b[2] * gl.exp(-x * b[4]),
    "Lanczos1": _lanczos, "Lanczos2": _lanczos, "Gauss3": _gauss,
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "Roszman1": lambda b, x: b[0] - b[1] * x - gl.atan(b[2] / (x - b[3])) / math.pi,
    "ENSO": lambda b, x: b[0] + _waves(b[1:3], x, 12) + _waves(b[4:6], x, b[3]) + _waves(b[7:9], x, b[6]),
}


def problem(name):
    """(start, residuals, certified, rss): residuals is a function of the parameters, and rss the certified sum of its squares."""
    data = DATA[name]
    x = [gl.dlarray(np.array(column)) for column in data["x"]]
    y = gl.dlarray(np.log(data["y"]) if name == "Nelson" else np.array(data["y"]))
    model = MODELS[name]
    return np.array(data["start"]), lambda b: model(b, x if len(x) > 1 else x[0]) - y, np.array(data["certified"]), data["rss"]
