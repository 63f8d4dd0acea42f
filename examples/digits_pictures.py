"""The pictures of digits.py. Each function draws one figure, saves it, and returns its path and what it shows."""
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

INK, QUIET, BLUE, RED = "#222222", "#8a8a8a", "#2f6db3", "#c8452f"
ZERO = "#3d4a52"  # what is exactly zero: a colour that no scale of derivatives has


def training(path, losses, accuracies):
    """The loss of every batch, and the held-out accuracy after every epoch."""
    fig = Figure(figsize=(8, 6.2), layout="constrained")
    above, below = fig.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    above.plot(np.arange(1, len(losses) + 1), losses, color=BLUE, alpha=0.35, linewidth=1, label="each batch")
    above.plot(np.arange(1, len(losses) + 1), smoothed(losses), color=BLUE, linewidth=2, label="smoothed")
    above.set(yscale="log", ylabel="cross-entropy", title="Training loss")
    above.legend(frameon=False)

    where, shares = zip(*accuracies, strict=True)
    below.plot(where, 100 * np.array(shares), "o-", color=RED, clip_on=False, zorder=3)
    for x, share in accuracies:
        side, shift = ("left", (12, -4)) if x == 0 else ("left", (9, -16)) if x < where[-1] else ("right", (-3, -16))
        below.annotate(f"{share:.1%}", (x, 100 * share), xytext=shift, textcoords="offset points", ha=side, color=RED)
    below.set(ylim=(0, 105), xlim=(0, len(losses)), xlabel="batches seen (an epoch ends at each dotted line)",
              ylabel="correct (%)",
              title="Held-out accuracy")
    for axes in (above, below):
        axes.title.set(fontweight="bold", color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        for epoch_end in where[1:]:
            axes.axvline(epoch_end, color=QUIET, linewidth=0.9, linestyle=":")
    return saved(fig, path, "the loss of every batch, and the held-out accuracy after every epoch")


def smoothed(values, keep=0.9):
    """An exponential average that begins at the first value."""
    average, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
        average.append(total / weight)
    return average


def relu1_maps(path, image, h, strongest):
    """The digit, and what each filter of relu1 makes of it; a ring marks the strongest output of each."""
    fig = Figure(figsize=(11.5, 7), layout="constrained")
    left, right = fig.subfigures(1, 2, width_ratios=[1, 1.75])
    digit = left.subplots()
    drawn = show(digit, image, "gray", 0, 1)
    digit.set_title("The digit", fontsize=12)
    left.colorbar(drawn, ax=digit, shrink=0.7, location="bottom", label="brightness")
    grid = right.subplots(4, 4)
    top = np.quantile(h[h > 0], 0.998)
    for f, axes in enumerate(grid.flat):
        drawn = show(axes, h[f], "magma", 0, top, f"filter {f}")
        _, i, j = strongest[f]
        if h[f, i, j] > 0:
            axes.plot(j, i, "o", markersize=9, markerfacecolor="none", markeredgecolor="white", markeredgewidth=1.4)
    right.colorbar(drawn, ax=grid, shrink=0.7, extend="max", label="output of relu1")
    fig.suptitle("What relu1 makes of a digit: 16 filters, 28 × 28 outputs each. Rings: the strongest, border aside",
                 fontweight="bold", color=INK)
    return saved(fig, path, "the digit and its 16 relu1 maps")


def jacobian_rows(path, image, h, kernels, strongest, count=6):
    """For the strongest outputs: the patch that the output looks at, and its derivative in its filter's 3 x 3
    weights."""
    best = sorted(strongest, key=lambda place: -h[place])[:count]
    fig = Figure(figsize=(2.2 * count + 1, 7.6), layout="constrained")
    grid = fig.subplots(3, count)
    padded = np.pad(image, 1)
    rows = [kernels[f, i, j, f] for f, i, j in best]
    colours, low, high = scale_for(np.array(rows))
    for column, (f, i, j), row in zip(grid.T, best, rows, strict=True):
        seen = padded[i:i + 3, j:j + 3]
        show(column[0], image, "gray", 0, 1, f"filter {f}\nat row {i}, column {j}")
        column[0].add_patch(Rectangle((j - 1.5, i - 1.5), 3, 3, fill=False, edgecolor=RED, linewidth=2))
        patch = show(column[1], seen, "gray", 0, 1)
        kernel = show(column[2], row, colours, low, high, f"= {row.sum() / seen.sum():.2f} × the patch"
                      if seen.any() else "")
        write_numbers(column[1], patch)
        write_numbers(column[2], kernel)
    for axes, words in zip(grid[:, 0], ("the digit", "the patch that\nthe output sees",
                                        "∂ output / ∂ weights\nof its filter"), strict=True):
        axes.set_ylabel(words, fontsize=11, color=INK, labelpad=10)
    fig.colorbar(patch, ax=grid[:2, -1], shrink=0.6, label="brightness")
    fig.colorbar(kernel, ax=grid[2, -1], shrink=0.9, label="derivative")
    fig.suptitle(f"Rows of the Jacobian as filters: the strongest outputs of {count} filters of relu1",
                 fontweight="bold", color=INK)
    return saved(fig, path, "rows of the Jacobian as 3 x 3 filters, beside the patches that they come from")


def jacobian_matrix(path, matrix, columns, shape):
    """The whole matrix, part by part; of each 28 rows (one line of pixels of one filter's map) the largest entry in
    each column."""
    filters, height, width = shape
    lines = matrix.reshape(filters * height, width, -1)
    lines = np.take_along_axis(lines, abs(lines).argmax(1)[:, None], 1)[:, 0]
    fig = Figure(figsize=(11, 8.2), layout="constrained")
    parts = fig.subplots(1, len(columns), sharey=True, width_ratios=[max(part.stop - part.start, 36)
                                                                     for part in columns.values()])
    for axes, (key, part) in zip(parts, columns.items(), strict=True):
        entries = lines[:, part]
        colours, low, high = scale_for(entries)
        axes.set_facecolor(ZERO)
        drawn = axes.imshow(np.ma.masked_equal(entries, 0.0), cmap=colours, vmin=low, vmax=high,
                            aspect="auto", interpolation="nearest", extent=(part.start, part.stop, len(matrix), 0))
        axes.set_title("\n".join(key), fontsize=11, color=INK)
        axes.set_xticks([part.start, part.stop])
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.get_xticklabels()[1].set_horizontalalignment("right")
        axes.set_xlabel("columns", labelpad=-9, color=INK)
        axes.tick_params(axis="y", length=0)
        bar = fig.colorbar(drawn, ax=axes, location="bottom", aspect=30 if axes is parts[0] else 8, shrink=0.9)
        ends = [low, 0, high] if low else [low, high]
        bar.set_ticks(ends, labels=[f"{end:.1f}" for end in ends])
        bar.set_label("derivative (of each 28 neighbouring rows, the largest)" if axes is parts[0] else "derivative",
                      color=INK)
    fig.legend(handles=[Patch(facecolor=ZERO, label="exactly zero")], loc="outside upper right", frameon=False)
    parts[0].set_yticks((np.arange(filters) + 0.5) * height * width, range(filters))
    parts[0].set_ylabel("outputs of relu1: the 784 of filter 0, of filter 1, ...", color=INK)
    fig.suptitle(
        f"The Jacobian of relu1: {matrix.shape[0]:,} × {matrix.shape[1]}, {np.mean(matrix == 0):.1%} of it zero",
        fontweight="bold", color=INK)
    return saved(fig, path, "the whole Jacobian, and where it is zero")


# ----- drawing --------------------------------------------------------------------------------------------------------


def show(axes, values, colours, low, high, title=""):
    """An image without ticks."""
    drawn = axes.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#cccccc")
    axes.set_title(title, fontsize=10, color=INK)
    return drawn


def scale_for(values):
    """Colours and limits: blue, white and red where there are both signs."""
    top = abs(values).max() or 1.0
    return ("RdBu_r", -top, top) if values.min() < 0 else ("Reds", 0, top)


def write_numbers(axes, drawn):
    """Each number in its pixel, in black or white, whichever can be read there."""
    for (i, j), value in np.ndenumerate(drawn.get_array()):
        red, green, blue, _ = drawn.to_rgba(value)
        bright = 0.3 * red + 0.6 * green + 0.1 * blue
        axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color=INK if bright > 0.5 else "white")


def saved(fig, path, content):
    fig.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    fig.savefig(path, dpi=150)
    return path, content
