"""Headless Chromium over the W3C WebDriver protocol: plain HTTP to chromedriver, no further package."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_TIMEOUT_S = 60
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # key that WebDriver gives element references
CAPABILITIES = {
    "goog:chromeOptions": {
        "args": [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1300,1000",
        ]
    },
    "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
}


class Browser:
    """One browser window."""

    def __init__(self, address: str) -> None:
        answer = _send("POST", f"{address}/session", {"capabilities": {"alwaysMatch": CAPABILITIES}})
        self._session = f"{address}/session/{answer['sessionId']}"

    def open(self, path: Path) -> None:
        """Open a file and forget what was logged before."""
        self.set_media("screen", "light")
        self.console_errors()
        self.requested()
        self._post("url", {"url": path.as_uri()})

    def run(self, script: str, *arguments: object) -> object:
        """Run the body of a JavaScript function in the page and return its value."""
        return self._post("execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        """Click in the middle of the first element of a CSS selector, as a user does."""
        self._post(f"element/{self._find(selector)}/click", {})

    def press(self, selector: str, keys: str) -> None:
        """Type keys into an element."""
        self._post(f"element/{self._find(selector)}/value", {"text": keys})

    def drag(self, selector: str, start: float, stop: float) -> None:
        """Drag with the mouse across an element, from one part of its width to another, at half its height."""
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        left, top, width, height = self.run(
            "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [b.left, b.top, b.width, b.height]",
            selector,
        )
        places = [{"x": round(left + part * width), "y": round(top + height / 2)} for part in (start, stop)]
        moves = [{"type": "pointerMove", "duration": 0, **place} for place in places]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, moves[1], {"type": "pointerUp", "button": 0}]
        pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self._post("actions", {"actions": [pointer]})

    def picture(self, selector: str) -> np.ndarray:
        """Take a screenshot of an element, shape (Y, X, 3), uint8."""
        encoded = _send("GET", f"{self._session}/element/{self._find(selector)}/screenshot", None)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(str(encoded)))).convert("RGB"))

    def set_media(self, media: str, scheme: str) -> None:
        """Show the page as on "screen" or in "print", with a "light" or "dark" colour scheme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._post(
            "goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"media": media, "features": features}}
        )

    @contextmanager
    def width(self, pixels: int) -> Iterator[None]:
        """Show the page in a window of this width."""
        shape = {"width": pixels, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self._post("goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": shape})
        yield
        self._post("goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}})

    def console_errors(self) -> list[str]:
        """Return what the page has logged as error or warning since the last call."""
        entries = self._post("se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def requested(self) -> list[str]:
        """Return the addresses that were asked for since the last call, data: addresses left out."""
        entries = [json.loads(entry["message"])["message"] for entry in self._post("se/log", {"type": "performance"})]
        sent = [one["params"]["request"]["url"] for one in entries if one["method"] == "Network.requestWillBeSent"]
        return [address for address in sent if not address.startswith("data:")]

    def close(self) -> None:
        """End the browser."""
        _send("DELETE", self._session, None)

    def _find(self, selector: str) -> str:
        return self._post("element", {"using": "css selector", "value": selector})[ELEMENT]

    def _post(self, command: str, body: dict) -> object:
        return _send("POST", f"{self._session}/{command}", body)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start chromedriver on a free port and one browser; end both."""
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        browser = Browser(_address(driver))
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait(10)
        driver.stdout.close()


def _address(driver: subprocess.Popen) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    for line in driver.stdout:
        if "started successfully on port" in line:
            port = int(line.split()[-1].rstrip("."))
            return f"http://127.0.0.1:{port}"
        if time.monotonic() > deadline:
            break
    message = "chromedriver did not say which port it listens on"
    raise RuntimeError(message)


def _send(method: str, address: str, body: object) -> object:
    encoded = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - address of the chromedriver started here
        address, encoded, {"Content-Type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=START_TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        message = f"{method} {address}: {error.read().decode()}"
        raise RuntimeError(message) from error
