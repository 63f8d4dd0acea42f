"""The live page and the report in a real browser: what is drawn, that it goes on, that the button stops training."""

import browser
import numpy as np
import pytest

import gradloom as gl

pytestmark = pytest.mark.skipif(browser.found() is None, reason="no Chromium is installed (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with browser.Browser(tmp_path_factory.mktemp("profile")) as it:
        yield it


def test_the_page_follows_training_and_its_button_stops_it(opened, tmp_path):
    page, report = gl.displays.LivePage(say=None), gl.displays.Report(tmp_path / "report.html")
    monitor = gl.TrainingProgressMonitor(metrics=["<b>"], displays=[page, report], x_label="iteration")
    points = "document.querySelector('polyline')?.getAttribute('points').split(' ').length"
    seen = []

    def told(row):
        if row.get("iteration") == 1:
            opened.open(page.address)
            opened.until("document.querySelectorAll('circle').length == 2")  # loss, learn_rate
        elif row.get("iteration") == 30:
            opened.until(f"{points} == 30")
            seen.append(opened.value("document.body.innerText"))
        elif row.get("iteration") == 35:
            opened.click("#stop")
            opened.until("document.getElementById('stop').disabled")

    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.FullyConnected(1)])
    _, info = gl.trainnet(x, x.sum(1), net, "mse", gl.TrainingOptions("sgdm", mini_batch_size=10, max_epochs=50_000, validation_data=(x, x.sum(1)),
                                                                    validation_frequency=7, plots=monitor, verbose=False, output_function=told))
    # a page that is looked at is not closed before it has shown the end
    assert info.stop_reason == "stopped by hand" and 35 <= info.training["iteration"][-1] < 200_000
    opened.until("document.body.innerText.includes('stopped by hand')")  # what came last may not be drawn yet
    text = opened.value("document.body.innerText")
    assert "validation_loss" in text and "training, epoch" in seen[0]
    assert opened.value("document.querySelectorAll('figure').length") == 2  # nothing was recorded as <b>
    assert opened.value("document.querySelectorAll('b').length") == 0
    assert opened.errors == []

    opened.open((tmp_path / "report.html").as_uri())
    assert "stopped by hand" in opened.value("document.body.innerText")
    boxes = opened.value("[...document.querySelectorAll('polyline')].map(line => line.getBBox().width)")
    assert len(boxes) == 3 and min(boxes) > 300  # curves fill their pictures
    inside = "[...document.querySelectorAll('svg text')].every(t => { const b = t.getBBox(); return b.x >= 0 && b.y >= 0 && b.x + b.width <= 640 && b.y + b.height <= 260 })"
    assert opened.value(inside)
    assert opened.errors == []


def test_the_page_of_a_program_that_ended_says_so(opened):
    page = gl.displays.LivePage(say=None)
    monitor = gl.TrainingProgressMonitor(metrics=["loss"], displays=[page])
    monitor.record(1, loss=0.5)
    opened.open(page.address)
    opened.until("document.querySelectorAll('circle').length == 1")
    page._server.shutdown()
    page._server.server_close()  # as where the program is killed
    opened.until("document.body.innerText.includes('The program ended')")
    assert opened.value("document.getElementById('stop').disabled") and opened.value("document.querySelectorAll('circle').length") == 1
