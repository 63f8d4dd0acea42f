"""Chromium without a window, spoken to through its developers' protocol over two pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time

NAMES = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "chrome")
# the browser reads from file descriptor 3 and writes to 4
START = """import fcntl, os, sys
r, w = (fcntl.fcntl(int(x), fcntl.F_DUPFD_CLOEXEC, 10) for x in sys.argv[1:3])
os.dup2(r, 3), os.dup2(w, 4)
os.execv(sys.argv[3], sys.argv[3:])"""


def found():
    """The path of a Chromium; None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One page: `open(address)`, `value(JavaScript)`, `until(JavaScript)`, `click(selector)`, `picture(path)`."""

    def __init__(self, folder, size=(1100, 900)):
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
                   f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}", "about:blank"]
        self._process = subprocess.Popen([sys.executable, "-c", START, str(theirs_in), str(theirs_out), found(), *options], pass_fds=(theirs_in, theirs_out),
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in), os.close(theirs_out)
        self._number, self._rest, self._session, self.errors = 0, b"", None, []

    def __enter__(self):
        try:
            page = next(target for target in self._said("Target.getTargets")["targetInfos"] if target["type"] == "page")
            self._session = self._said("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self._said(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.wait()
        os.close(self._in), os.close(self._out)

    def open(self, address):
        self._said("Page.navigate", url=address)
        self.until("document.readyState == 'complete'")

    def value(self, script):
        answer = self._said("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script, seconds=20):
        end = time.monotonic() + seconds
        while not self.value(script):
            assert time.monotonic() < end, f"still not {script}: {self.value('document.body.innerText')}"
            time.sleep(0.05)

    def click(self, selector):
        """With the mouse, in the middle of it."""
        x, y = json.loads(self.value(f"(() => {{ const b = document.querySelector('{selector}').getBoundingClientRect(); "
                                     "return JSON.stringify([b.x + b.width / 2, b.y + b.height / 2]); })()"))
        for kind in ("mousePressed", "mouseReleased"):
            self._said("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def dark(self, wanted=True):
        self._said("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if wanted else "light"}])

    def picture(self, path):
        """The whole page as PNG."""
        data = self._said("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _said(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(answer["params"])
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self):
        end = time.monotonic() + 60
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], max(0, end - time.monotonic()))[0], "the browser does not answer"
            data = os.read(self._in, 1 << 16)
            assert data, "the browser ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
