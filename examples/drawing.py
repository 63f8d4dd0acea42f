"""What the examples share: their command line, and the look of their pictures."""
import argparse
from pathlib import Path

from matplotlib.figure import Figure

INK, QUIET, BLUE, RED, GREEN = "#222222", "#8a8a8a", "#2f6db3", "#c8452f", "#3a8f5c"


def command_line(main, about):
    """Run `main(output)` with the folder that --output names."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("output"),
                        help="the folder for the picture (default: output)")
    main(parser.parse_args().output)


def figure(width, height, title):
    """An empty figure with a title."""
    fig = Figure(figsize=(width, height), layout="constrained")
    fig.suptitle(title, fontweight="bold", color=INK)
    return fig


def titled(axes, title, **words):
    """Axes without the lines that say nothing."""
    axes.set(**words)
    axes.set_title(title, fontsize=11, color=INK)
    axes.spines[["top", "right"]].set_visible(False)


def bare(axes, title=""):
    """An image's axes: no ticks."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#cccccc")
    axes.set_title(title, fontsize=10, color=INK)


def saved(fig, path):
    """Write the picture; say where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    fig.savefig(path, dpi=130)
    print(f"The picture: {path.resolve()}")
    return path
