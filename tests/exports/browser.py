"""A real browser for the tests: headless Chromium, spoken to by the DevTools protocol over a pipe.

https://chromedevtools.github.io/devtools-protocol: JSON messages, each ended by a zero byte, on the browser's file
descriptors 3 and 4. No port is opened, and no library is needed.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

PATIENCE: Final = 60.0
"""Seconds that the browser has for any answer before the test fails."""

_FLAGS: Final = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1280,800",
)

_ON_3_AND_4: Final = """
import fcntl, os, sys
reader, writer = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])
os.dup2(reader, 3)
os.dup2(writer, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Starts a program with two descriptors where the browser looks for them."""


def find_browser() -> str | None:
    """The browser's program, `None` when there is none on this machine."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """A browser that runs in a `with` block, with a profile of its own."""

    def __init__(self, program: str, profile: Path) -> None:
        self._program = program
        self._profile = profile
        self._numbers = itertools.count(1)
        self._buffer = b""
        self.events: list[Mapping[str, Any]] = []
        """Everything the browser told without being asked."""

    def __enter__(self) -> Self:
        reader, self._to_browser = os.pipe()
        self._from_browser, writer = os.pipe()
        flags = [*_FLAGS, f"--user-data-dir={self._profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_3_AND_4, str(reader), str(writer), self._program, *flags],
            pass_fds=(reader, writer),
            # It makes a socket there, whose path may have some hundred bytes at most.
            env={**os.environ, "TMPDIR": "/tmp"},  # noqa: S108 - it takes a name of its own there
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reader)
        os.close(writer)
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.call("Browser.close")
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._to_browser)
            os.close(self._from_browser)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Mapping[str, Any]:
        """Call a method of the protocol and wait for its answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to_browser, json.dumps(message).encode() + b"\0")
        while (answer := self._next_message()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: Mapping[str, Any] = answer["result"]
        return result

    def open(self, page: Path) -> Page:
        """Load a file, and wait until it is there."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        opened = Page(self, target, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            opened.call(f"{domain}.enable")
        opened.call("Page.setLifecycleEventsEnabled", enabled=True)
        loader = opened.call("Page.navigate", url=page.as_uri())["loaderId"]
        while not any(_is_end_of_loading(event, loader) for event in self.events):
            self.events.append(self._next_message())
        return opened

    def _next_message(self) -> Mapping[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from_browser], [], [], PATIENCE)
            assert ready, f"the browser did not answer within {PATIENCE} s"
            part = os.read(self._from_browser, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        decoded: Mapping[str, Any] = json.loads(message)
        return decoded


def _is_end_of_loading(event: Mapping[str, Any], loader: str) -> bool:
    """Whether everything of what a loader was to load is there. A question to the page before that may be lost."""
    if event["method"] != "Page.lifecycleEvent":
        return False
    told: Mapping[str, Any] = event["params"]
    return (told["name"], told["loaderId"]) == ("load", loader)


class Page:
    """One page in the browser."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    def call(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """Call a method of the protocol for this page."""
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_until(self, condition: str) -> None:
        """Wait until a JavaScript expression holds: it is asked at every frame."""
        look = f"const look = () => ({condition}) ? resolve(true) : setTimeout(look, 10); look();"
        assert self.evaluate(f"new Promise((resolve) => {{ {look} }})")

    def settle(self) -> None:
        """Wait until what has changed is drawn."""
        self.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")

    def texts(self, selector: str) -> list[str]:
        """The text of every element that a selector fits."""
        found: list[str] = self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.innerText)"
        )
        return found

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a pointer does."""
        box = self.evaluate(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        self.drag(box, box)

    def drag(self, start: list[float], end: list[float]) -> None:
        """Press the button at one place of the window and let it go at another."""
        for kind, (x, y) in (
            ("mouseMoved", start),
            ("mousePressed", start),
            ("mouseMoved", end),
            ("mouseReleased", end),
        ):
            held = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
            buttons = 1 if (kind, [x, y]) == ("mouseMoved", end) and start != end else 0
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=buttons, **held)
        self.settle()

    def press(self, *keys: str) -> None:
        """Press keys, each by the name that `KeyboardEvent.key` has for it."""
        for key in keys:
            typed = {"text": key} if len(key) == 1 else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **typed)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def type(self, text: str) -> None:
        """Type text where the focus is."""
        self.call("Input.insertText", text=text)
        self.settle()

    def use_dark_colours(self) -> None:
        """As of a person who prefers dark colours."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        self.settle()

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def complaints(self) -> list[str]:
        """What the browser's console holds: errors, warnings, refused loads, uncaught exceptions."""
        self.evaluate("0")  # what was told before the answer has been read by then
        kinds = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        return [json.dumps(event["params"]) for event in self._own_events() if event["method"] in kinds]

    def requests(self) -> list[str]:
        """The addresses of everything that the page has asked for."""
        sent = (event for event in self._own_events() if event["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def close(self) -> None:
        """Close the page."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def _own_events(self) -> list[Mapping[str, Any]]:
        return [event for event in self._browser.events if event.get("sessionId") == self._session]
