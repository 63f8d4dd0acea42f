"""TrainingProgressMonitor and its displays."""

import re
import sys
import types
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import gradloom as gl
from gradloom.training.displays.curves import curves


def recording(*displays, steps=20):
    monitor = gl.TrainingProgressMonitor(metrics=["loss", "accuracy"], info=["epoch"], x_label="iteration", displays=displays)
    gl.group_subplot(monitor, "both", ["loss", "accuracy"], scale="log")
    for k in range(1, steps + 1):
        gl.record_metrics(monitor, k, loss=1 / k, accuracy=gl.dlarray(1 - 1 / k))
        monitor.progress = 100 * k / steps
    gl.update_info(monitor, epoch="<3>")
    monitor.status = "done & gone"
    return monitor


def test_what_is_recorded_and_said():
    monitor = recording()
    assert monitor.recorded["loss"] == (list(range(1, 21)), [1 / k for k in range(1, 21)])
    assert (monitor.progress, monitor.status, monitor.said, monitor.stop) == (100, "done & gone", {"epoch": "<3>"}, False)
    assert monitor.pictures() == {"both": ["loss", "accuracy"]}
    monitor.stop = True
    assert monitor.stop_requested()


@pytest.mark.parametrize(("call", "message"), [
    (lambda m: gl.record_metrics(m, 1, los=1), "no metric 'los'; did you mean 'loss'"),
    (lambda m: gl.update_info(m, epochs=1), "no information 'epochs'; did you mean 'epoch'"),
    (lambda m: gl.group_subplot(m, "a", ["b"]), "records no metric 'b'"),
    (lambda m: gl.group_subplot(m, "a", ["loss"], scale="cubic"), "\"linear\" or \"log\""),
    (lambda m: setattr(m, "progress", 101), "a number from 0 to 100")])
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(gl.TypeRefused, match=message):
        call(recording())


def test_the_report_is_one_file(tmp_path):
    said = []
    monitor = recording(gl.displays.Report(tmp_path / "a" / "report.html", say=said.append))
    monitor.finish()
    text = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "&lt;3&gt;" in text and "done &amp; gone" in text and "<3>" not in text
    assert not re.search(r"(src|href)=|https?://", text)
    assert str(tmp_path) in said[0]
    picture = ElementTree.fromstring(re.search(r"<svg.*?</svg>", text).group())
    assert len(picture.findall("polyline")) == 2


def test_a_curve_is_where_its_numbers_are():
    svg = ElementTree.fromstring(curves([("loss", [0, 5, 10], [0.0, 5.0, 10.0])], "step", "linear"))
    points = [tuple(map(float, p.split(","))) for p in svg.find("polyline").get("points").split()]
    assert points == [(64, 226), (346, 119), (628, 12)]  # from corner to corner of the frame
    svg = ElementTree.fromstring(curves([("loss", [0, 5, 10], [1.0, 10.0, 100.0])], "step", "log"))
    points = [tuple(map(float, p.split(","))) for p in svg.find("polyline").get("points").split()]
    assert points == [(64, 226), (346, 119), (628, 12)]


def test_long_curves_keep_their_peaks_and_odd_numbers_are_left_out():
    values = np.sin(np.arange(50_000) / 3000)
    values[31_234] = 7.5
    values[5] = np.nan
    svg = ElementTree.fromstring(curves([("loss", range(50_000), values)], "step", "linear"))
    points = svg.find("polyline").get("points").split()
    assert len(points) <= 810
    heights = [float(p.split(",")[1]) for p in points]
    assert np.argmin(heights) / len(points) == pytest.approx(31_234 / 50_000, abs=0.01)
    assert "no number is finite" in curves([("loss", [1], [np.nan])], "step", "linear")
    assert curves([("loss", [1], [2.0])], "step", "linear").count("<circle") == 1


def get(address, method="GET", host=None):
    request = urllib.request.Request(address, method=method, headers={} if host is None else {"Host": host})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode()


def test_the_live_page_shows_and_stops():
    page = gl.displays.LivePage(say=None)
    monitor = recording(page)
    address = page.address
    assert address.startswith("http://127.0.0.1:")
    assert "<polyline" in get(address) and "Stop" in get(address)
    body = address.replace("/?", "/body?")
    assert "&lt;3&gt;" in get(body)
    gl.record_metrics(monitor, 21, loss=0.01)
    gl.update_info(monitor, epoch="later")
    assert "later" in get(body)
    for bad in (address.partition("?")[0], address[:-3], address.replace("/?", "/stop?")[:-1]):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(bad, "POST")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(address, host="evil.example:80")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(address.replace("/?", "/other?"))
    assert not monitor.stop
    get(address.replace("/?", "/stop?"), "POST")
    assert monitor.stop
    monitor.finish()
    assert page.address is None
    with pytest.raises(urllib.error.URLError):
        get(address)


def test_the_stop_button_ends_training():
    page = gl.displays.LivePage(say=None)
    monitor = gl.TrainingProgressMonitor(displays=[page])

    def press(told):
        if told.get("iteration") == 2:
            get(page.address.replace("/?", "/stop?"), "POST")

    net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1)])
    x = np.ones((8, 1))
    _, info = gl.trainnet(x, x, net, "mse", gl.TrainingOptions("sgdm", mini_batch_size=4, plots=monitor, verbose=False,
                                                             output_function=press))
    assert info.stop_reason == "stopped by hand" and info.iteration == 2 and monitor.status == "stopped by hand"
    assert monitor.recorded["loss"][0] == [1, 2]


def test_the_console_prints_lines(capsys):
    net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1)])
    x = np.ones((8, 1))
    gl.trainnet(x, x, net, "mse", gl.TrainingOptions("sgdm", mini_batch_size=4, max_epochs=3, verbose_frequency=4,
                                                   validation_data=(x, x), validation_frequency=5))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["iteration", "time", "loss", "validation_loss", "learn_rate"]
    assert [line.split()[0] for line in lines[1:-1]] == ["1", "4", "5", "6"]
    assert len(lines[3].split()) == 5 and lines[-1] == "Training ended: max_epochs was reached"


def test_the_notebook_figure_has_the_curves():
    pytest.importorskip("matplotlib")
    shown = gl.displays.NotebookFigure()
    shown.monitor = recording()
    figure = shown.figure()
    axes = figure.axes[0]
    assert [line.get_label() for line in axes.lines] == ["loss", "accuracy"] and axes.get_yscale() == "log"
    assert list(axes.lines[0].get_ydata()) == [1 / k for k in range(1, 21)]


def test_tensorboard_gets_scalars(monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder):
            written.append(folder)

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def add_text(self, name, value):
            written.append((name, value))

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    recording(gl.displays.TensorBoard("folder"), steps=2).finish()
    assert written[0] == "folder" and ("loss", 0.5, 2) in written and ("epoch", "<3>") in written and written[-1] == "closed"
