"""Write the pictures of docs/blocks.md and docs/gallery.md: python tools/make_block_pictures.py"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import FancyBboxPatch, Rectangle

import gradloom as gl

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
RED, BLUE, GREY, PALE = "#c0392b", "#2465a8", "#555555", "#eef3f8"


def save(figure: Any, name: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / name, dpi=80)
    plt.close(figure)


def matrix(ax: Any, values: np.ndarray, title: str) -> None:
    """A matrix, white where it is zero."""
    most = np.abs(values).max() or 1.0
    shown = np.ma.masked_equal(values, 0.0)
    ax.imshow(shown, cmap="coolwarm", vmin=-most, vmax=most, interpolation="nearest", aspect="auto")
    ax.set_title(title, fontsize=11)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color(GREY)


def jacobian(f: Callable[[Any], Any], x: Any) -> Any:
    return gl.dlfeval(lambda x: gl.dljacobian(f(x), x), x)


def shapes() -> None:
    """Six Jacobians, dense, each with what is held of it."""
    gl.rng(0)
    x, signal, w, data = gl.randn(12), gl.dlarray(gl.randn((1, 1, 12)), "BCS"), gl.randn((4, 3)), gl.randn((6, 4))
    cases = [
        ("tanh(x)\ndiagonal", lambda x: gl.tanh(x), x),
        ("softmax(x)\ndiagonal minus outer product", lambda x: gl.softmax(x, axis=0), x),
        ("x[::2]\na selector", lambda x: x[::2], x),
        ("dlconv(x, w) to x\na window", lambda x: gl.dlconv(x, [[[1.0, -2.0, 0.5]]], padding="same"), signal),
        ("X @ W to W\ntied along the columns of W", lambda w: data @ w, w),
        ("concat([sin(x), x])\ntwo terms", lambda x: gl.concat([gl.sin(x), x]), x),
    ]
    figure, axes = plt.subplots(2, 3, figsize=(10, 6.6), layout="constrained")
    for ax, (name, f, at) in zip(axes.flat, cases, strict=True):
        J = jacobian(f, at)
        values = np.asarray(J)
        matrix(ax, values, name)
        ax.set_xlabel(f"{values.shape[0]} x {values.shape[1]}: {J.nbytes // 8} of {values.size} numbers held",
                      fontsize=10)
    save(figure, "blocks_shapes.png")


def box(ax: Any, x: float, y: float, text: str, width: float = 1.5, colour: str = BLUE) -> None:
    ax.add_patch(FancyBboxPatch((x - width / 2, y - 0.3), width, 0.6, boxstyle="round,pad=0.05",
                                facecolor=PALE, edgecolor=colour, linewidth=1.5))
    ax.text(x, y, text, ha="center", va="center", fontsize=12)


def line(ax: Any, a: tuple[float, float], b: tuple[float, float], text: str, colour: str = GREY,
         shift: float = 0.14) -> None:
    ax.plot([a[0], b[0]], [a[1], b[1]], color=colour, linewidth=2, zorder=0)
    ax.text((a[0] + b[0]) / 2, (a[1] + b[1]) / 2 + shift, text, ha="center", fontsize=12, color=colour)


def network_of_indices() -> None:
    """A layer's weight Jacobian as a drawing: factors are boxes, indices are lines, a tie goes straight through."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    for ax, title in zip(axes, ("y = tanh(W x), with respect to W", "z = V y, with respect to W"), strict=True):
        ax.set_title(title, fontsize=12)
        ax.set_xlim(-0.4, 6.4)
        ax.set_ylim(-0.7, 2.3)
        ax.axis("off")
        ax.text(0, 2.05, "axes of the output", ha="left", fontsize=10, color=GREY)
        ax.text(6, 2.05, "axes of W", ha="right", fontsize=10, color=GREY)
    left, right = axes
    line(left, (0.2, 1.5), (5.8, 1.5), "", RED)
    left.text(1.2, 1.62, "o: tied", color=RED, fontsize=12, ha="center")
    box(left, 3.0, 1.5, "tanh'(W x)[o]", 2.2)
    line(left, (3.9, 0.2), (5.8, 0.2), "i")
    box(left, 3.0, 0.2, "x[i]")
    line(right, (0.2, 1.5), (1.4, 1.5), "k")
    box(right, 1.9, 1.5, "V[k, o]", 1.3)
    line(right, (2.6, 1.5), (5.8, 1.5), "")
    right.text(5.4, 1.62, "o", color=GREY, fontsize=12, ha="center")
    box(right, 3.9, 1.5, "tanh'(W x)[o]", 2.0)
    line(right, (3.9, 0.2), (5.8, 0.2), "i")
    box(right, 3.0, 0.2, "x[i]")
    save(figure, "blocks_indices.png")


def directions() -> None:
    """Forwards and backwards over a chain, and where they meet."""
    figure, axes = plt.subplots(3, 1, figsize=(9, 5), layout="constrained")
    widths = [("x", 0.55), ("", 1.0), ("", 0.4), ("", 0.9), ("u", 0.3)]
    ways = [("forwards: from x, one more factor at each operation", 4),
            ("backwards: from u, the same factors from the other end", 0),
            ("what is left, either way: the two sides of the narrowest place, not multiplied where their product "
             "would be larger", -1)]
    for ax, (title, forward) in zip(axes, ways, strict=True):
        ax.set_xlim(-0.8, 8.6)
        ax.set_ylim(-0.75, 1.0)
        ax.axis("off")
        ax.set_title(title, fontsize=11, loc="left")
        for k, (name, height) in enumerate(widths):
            ax.plot([2 * k, 2 * k], [-height / 2, height / 2], color="black", linewidth=7, solid_capstyle="round")
            if name:
                ax.text(2 * k + (-0.3 if k == 0 else 0.3), 0, name, ha="center", va="center", fontsize=13)
            if forward < 0:
                continue
            if k < 4:
                right = k < forward
                ax.annotate("", (2 * k + 1.75, 0) if right else (2 * k + 0.25, 0), (2 * k + 0.25, 0)
                            if right else (2 * k + 1.75, 0),
                            arrowprops={"arrowstyle": "-|>", "color": RED if right else BLUE, "linewidth": 2})
    for start, text, colour in ((0, "B[m, x]", RED), (4, "A[u, m]", BLUE)):
        axes[2].annotate("", (start + 0.25, 0), (start + 3.75, 0),
                         arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 2})
        axes[2].text(start + (1 if start == 0 else 3), 0.2, text, color=colour, ha="center", fontsize=12)
    axes[2].text(4, 0.32, "m", ha="center", fontsize=12)
    save(figure, "blocks_directions.png")


def rows() -> None:
    """Rows of a hidden layer's Jacobian, as pictures of the weights they belong to."""
    gl.rng(1)
    side = np.linspace(-1, 1, 28)
    image = np.exp(-((np.hypot(*np.meshgrid(side, side)) - 0.6) ** 2) / 0.02).astype("float32")
    w = gl.randn((20, 1, 5, 5), dtype="float32") / 5
    J = gl.dlfeval(lambda w: gl.dljacobian(gl.relu(gl.dlconv(image[None], w, data_format="CSS")), w), w)
    values = np.asarray(J.dense())
    h = np.abs(values).reshape(20, 24, 24, -1).sum(axis=-1)
    figure, axes = plt.subplots(2, 5, figsize=(11, 4.4), layout="constrained")
    bright = axes[0, 0].imshow(image, cmap="gray", vmin=0, vmax=1)
    axes[0, 0].set_title("the image, 8 patches", fontsize=10)
    norms = axes[1, 0].imshow(h[0], cmap="magma")
    axes[1, 0].set_title("row norms (1) of filter 0", fontsize=10)
    colours = plt.get_cmap("tab10").colors
    open_at = np.argwhere(h[0] > 0.5 * h[0].max())
    for k, ax in enumerate(axes[:, 1:].flat):
        i, j = open_at[k * (len(open_at) - 1) // 7]
        ax.imshow(values[0, i, j, 0, 0], cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"du[0, {i}, {j}] / dw[0]", fontsize=10, color=colours[k])
        for spine in ax.spines.values():
            spine.set(color=colours[k], linewidth=3)
        axes[0, 0].add_patch(Rectangle((j - 0.5, i - 0.5), 5, 5, fill=False, edgecolor=colours[k], linewidth=1.5))
        axes[1, 0].plot(j, i, "s", markersize=4, color=colours[k], markeredgecolor="white", markeredgewidth=0.5)
    figure.colorbar(bright, ax=axes[0, -1], label="brightness")
    figure.colorbar(norms, ax=axes[1, -1], label="row norm")
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
    save(figure, "gallery_rows.png")


if __name__ == "__main__":
    for draw in (shapes, network_of_indices, directions, rows):
        draw()
