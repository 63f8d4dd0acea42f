"""The gradients of Rosenbrock's function as arrows, and the gradient of a complex function.

    python examples/gradient_fields.py [--output FOLDER]

One call for all points: each element of the result depends on its own point alone, so that the gradient of the sum
holds the gradient at each. Of a real function of complex numbers the gradient is df/da + i df/db, the direction in
which it rises: of Re((2 + 3i) z) it is 2 - 3i everywhere, as of Re(z^3) / 3 it is the conjugate of z^2. """
import numpy as np
from drawing import INK, command_line, figure, saved, titled

import gradloom as gl


def rosenbrock(x1, x2):
    y = 100 * (x2 - x1 ** 2) ** 2 + (1 - x1) ** 2
    return y, *gl.dlgradient(gl.sum(y), (x1, x2))


def linear(z):
    y = gl.real((2 + 3j) * z)
    return y, gl.dlgradient(gl.sum(y), z)


def cubic(z):
    y = gl.real(z ** 3) / 3
    return y, gl.dlgradient(gl.sum(y), z)


def main(output, fine=100, coarse=11):
    x1, x2 = np.meshgrid(np.linspace(0, 1, coarse), np.linspace(0, 1, coarse))
    _, d1, d2 = gl.dlfeval(rosenbrock, gl.dlarray(x1), gl.dlarray(x2))
    found = {"rosenbrock": (x1, x2, d1.numpy(), d2.numpy())}
    for function in (linear, cubic):
        line, few = np.linspace(-2, 2, fine), np.linspace(-2, 2, coarse)
        y, _ = gl.dlfeval(function, gl.dlarray(line + 1j * line[:, None]))
        z = few + 1j * few[:, None]
        found[function.__name__] = (y.numpy(), z, gl.dlfeval(function, gl.dlarray(z))[1].numpy())
    print(f"The gradient of Re((2 + 3i) z) at 0: {found['linear'][2][coarse // 2, coarse // 2]:.0f}")
    draw(output / "gradient_fields.png", found)
    return found


def draw(path, found):
    fig = figure(13, 4.4, "Gradients as arrows")
    left, *others = fig.subplots(1, 3)
    x1, x2, d1, d2 = found["rosenbrock"]
    line = np.linspace(-0.08, 1.08, 200)
    a, b = np.meshgrid(line, line)
    left.contourf(a, b, np.log10(1e-3 + 100 * (b - a ** 2) ** 2 + (1 - a) ** 2), 20, cmap="viridis", alpha=0.7)
    left.quiver(x1, x2, d1, d2, color=INK)
    left.plot(1, 1, "w*", markersize=13, markeredgecolor=INK)
    titled(left, "Rosenbrock's function (colour: its logarithm)", xlabel="x1", ylabel="x2", aspect="equal")
    for axes, name, title in zip(others, ("linear", "cubic"), ("Re((2 + 3i) z)", "Re(z³) / 3"), strict=True):
        y, z, gradient = found[name]
        drawn = axes.imshow(y, extent=(-2, 2, -2, 2), origin="lower", cmap="RdBu_r")
        fig.colorbar(drawn, ax=axes, shrink=0.8)
        axes.quiver(z.real, z.imag, gradient.real, gradient.imag, color=INK)
        titled(axes, title, xlabel="real", ylabel="imaginary")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
