"""A page on this machine's own address that shows training while it runs, with a stop button."""
from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from ..monitor import Silent, TrainingProgressMonitor
from .curves import body_of, page_of

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEAD = """<link rel="icon" href="data:,"><script>
const byId = (name) => document.getElementById(name);
async function show() {
  try {
    const answer = await fetch("body?key=KEY");
    if (answer.ok) byId("body").innerHTML = await answer.text();
    if (answer.headers.get("Training") != "ended") return setTimeout(show, 1000);
  } catch (error) { byId("stop").after(" The program ended. This is what was seen last."); }
  byId("stop").disabled = true;
}
async function stop() {
  byId("stop").disabled = true;
  byId("stop").textContent = "Stops after this step";
  await fetch("stop?key=KEY", {method: "POST"});
}
addEventListener("load", () => { byId("stop").addEventListener("click", stop); show(); });
</script>"""
LOOKS = 3.0  # seconds after which a page that was not asked for is not looked at
WAIT = 2.0  # seconds that the end waits for a page that is looked at


class LivePage(Silent):
    """Serves curves, information and a stop button on 127.0.0.1 while training runs. `say` is told the address.

    Only this machine reaches it, and only with the key that is in the address: another page in the same browser can
    neither read it nor press its button.
    """

    def __init__(self, port: int = 0, *, title: str = "Training progress", say: Any = print):
        self._port, self._title, self._say = port, title, say
        self._key = secrets.token_urlsafe(16)
        self._stopped, self._shown = threading.Event(), threading.Event()  # the button; the end was seen
        self._ended, self._looked = False, -LOOKS
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str | None:
        """Where the page is, while training runs."""
        return None if self._server is None else f"http://127.0.0.1:{self._server.server_address[1]}/?key={self._key}"

    def start(self, monitor: TrainingProgressMonitor) -> None:
        """Open the page."""
        from http.server import ThreadingHTTPServer

        super().start(monitor)
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True,
                                        name="training page")
        self._thread.start()
        if self._say is not None:
            self._say(f"Training can be watched at {self.address}")

    def stop_requested(self) -> bool:
        """Whether the button was pressed."""
        return self._stopped.is_set()

    def finish(self) -> None:
        """Close the page, once it has shown the end where somebody looks at it."""
        if self._server is not None and self._thread is not None:
            self._ended = True
            if time.monotonic() - self._looked < LOOKS:
                self._shown.wait(WAIT)
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        from http.server import BaseHTTPRequestHandler

        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self._refused():
                    return
                path = self.path.partition("?")[0]
                if path == "/":
                    body = f'<p><button id="stop">Stop</button></p><div id="body">{body_of(page.monitor)}</div>'
                    self._answer(200, page_of(body, page._title, HEAD.replace("KEY", page._key)))
                elif path == "/body":
                    ended, page._looked = page._ended, time.monotonic()
                    self._answer(200, body_of(page.monitor), "ended" if ended else "runs")
                    if ended:
                        page._shown.set()
                else:
                    self._answer(404, "there is no such page")

            def do_POST(self) -> None:
                if self._refused():
                    return
                if self.path.partition("?")[0] == "/stop":
                    page._stopped.set()
                    self._answer(200, "training stops after this step")
                else:
                    self._answer(404, "there is no such page")

            def _refused(self) -> bool:
                """What comes under another host's name (rebinding), or without the key."""
                host = self.headers.get("Host", "").rpartition(":")[0]
                key = self.path.partition("?key=")[2]
                if host in ("127.0.0.1", "localhost") and secrets.compare_digest(key.encode(), page._key.encode()):
                    return False
                self._answer(403, "open the address that was printed")
                return True

            def _answer(self, code: int, text: str, training: str = "") -> None:
                data = text.encode()
                self.send_response(code)
                if training:
                    self.send_header("Training", training)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing is logged."""

        return Handler


__all__ = ["LivePage"]
