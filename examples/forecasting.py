"""Forecasting a chaotic series, in open loop and in closed loop.

    python examples/forecasting.py [--output FOLDER]

The series is Mackey's and Glass's: what is made now depends on what there was a while ago. The network, long short-term
memory, hears it value by value and says the next one. In *open loop* the true value comes in before each forecast. In
*closed loop* the network's forecast comes in, and so it goes on alone for as long as it is asked to. Both begin with
the state that the network has after what it heard. A chaotic series cannot be forecast for ever: the last picture shows
how the error of many closed loops grows, beside the error of always saying the mean. """
import numpy as np
from drawing import BLUE, GREEN, QUIET, RED, command_line, figure, saved, titled

import gradloom as gl

L = gl.layers


def mackey_glass(count, every=3.0, delay=17.0, dt=0.1):
    """x' = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x, by small steps of Euler's; mean 0 and deviation 1."""
    back, stride = round(delay / dt), round(every / dt)
    x = np.full(back + (count + 100) * stride, 1.2)
    for k in range(back, len(x)):
        late = x[k - back]
        x[k] = x[k - 1] + dt * (0.2 * late / (1 + late ** 10) - 0.1 * x[k - 1])
    x = x[back + 100 * stride::stride]  # without how it began
    return ((x - x.mean()) / x.std()).astype("float32")


def windows(series, length, every):
    """Pieces of the series, and the same one value later: lists of (T, 1)."""
    starts = range(0, len(series) - length, every)
    return [(series[k:k + length, None], series[k + 1:k + length + 1, None]) for k in starts]


def network(hidden):
    return gl.dlnetwork([L.SequenceInput(1), L.LSTM(hidden), L.FullyConnected(1)])


def train(net, series, epochs):
    options = gl.TrainingOptions(
        "adam", initial_learn_rate=0.01, learn_rate_schedule=gl.cosine_learn_rate(period=epochs + 1), max_epochs=epochs,
        mini_batch_size=32, shuffle="every-epoch", l2_regularization=0, gradient_threshold=1.0,
        input_data_formats="BTC", target_data_formats="BTC", verbose=False)
    return gl.trainnet(windows(series, 100, 10), net, "mse", options)


def open_loop(net, heard):
    """A forecast of the next value after each that was heard, and the network with the state that it then has."""
    forecasts, state = net.reset_state().predict(gl.dlarray(heard[..., None], "BTC"), return_state=True)
    return forecasts.numpy()[..., 0], net.replace(state=state)


def closed_loop(net, heard, steps):
    """What the network says next, and after that, and so on: (series, steps)."""
    forecasts, net = open_loop(net, heard)
    said = [forecasts[:, -1]]
    for _ in range(steps - 1):
        y, state = net.predict(gl.dlarray(said[-1][:, None, None], "BTC"), return_state=True)
        net = net.replace(state=state)
        said.append(y.numpy()[:, 0, 0])
    return np.stack(said, 1)


def main(output, count=3000, epochs=40, hidden=64, ahead=150):
    gl.rng(0)
    series = mackey_glass(count + 1500)
    past, future = series[:count], series[count:]
    net, info = train(network(hidden), past, epochs)
    forecasts, _ = open_loop(net, future[None, :-1])
    miss = {"open": forecasts[0, 100:] - future[101:], "last": future[100:-1] - future[101:]}
    starts = np.arange(100, len(future) - ahead, 25)
    heard = np.stack([future[k - 100:k] for k in starts])
    truth = np.stack([future[k:k + ahead] for k in starts])
    said = closed_loop(net, heard, ahead)
    root = lambda x, axis=None: np.sqrt(np.mean(x ** 2, axis))
    growth = root(said - truth, 0)
    print(f"{info.iteration} steps in {info.training['time'][-1]:.0f} s. The deviation of the series is 1.")
    print(f"Open loop, held out: root mean square error {root(miss['open']):.3f}; of saying the last value again "
          f"{root(miss['last']):.3f}.")
    print(f"Closed loop, {len(starts)} starts: "
          + ", ".join(f"{growth[k - 1]:.3f} after {k}" for k in (1, 10, 50, ahead)) + " steps.")
    draw(output / "forecasting.png", future, forecasts[0], heard, truth, said, growth)
    return {"network": net, "open": root(miss["open"]), "last": root(miss["last"]), "growth": growth}


def draw(path, future, forecasts, heard, truth, said, growth):
    fig = figure(12, 6.6, "A chaotic series, forecast by long short-term memory")
    above, middle, below = fig.subplots(3, 1, height_ratios=[1, 1, 0.9])
    ahead, before = truth.shape[1], 50
    now = np.arange(100, 100 + before + ahead)
    above.plot(now - now[0] - before, future[now], color=QUIET, linewidth=4, alpha=0.4, label="series")
    above.plot(now - now[0] - before, forecasts[now - 1], color=BLUE, linewidth=1.2, label="forecast of the next value")
    titled(above, "open loop: the true value comes in before each forecast", xlim=(-before, ahead),
           ylim=(-2.6, 3.2))
    middle.plot(np.arange(-before, ahead), np.concatenate([heard[2][-before:], truth[2]]), color=QUIET, linewidth=4,
                alpha=0.4, label="series")
    middle.plot(np.arange(ahead), said[2], color=RED, linewidth=1.2, label="the network alone")
    middle.axvline(0, color=QUIET, linestyle=":")
    titled(middle, "closed loop: from 0 on the network hears nothing but itself", xlim=(-before, ahead),
           ylim=(-2.6, 3.2))
    below.plot(np.arange(1, ahead + 1), growth, color=GREEN, label=f"closed loop, {len(said)} starts")
    below.axhline(1, color=QUIET, linestyle=":", label="always saying the mean")
    titled(below, "root mean square error", xlabel="steps", xlim=(-before, ahead), ylim=(0, 1.3))
    for axes in (above, middle, below):
        axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
