"""Drives a real chromium by its DevTools protocol: `with chrome(tmp_path) as browser: page = browser.page(url)`."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from support import chromium

PATIENCE = 90.0
"""Seconds for what should take a moment: other tests have the machine, too."""
_KEYS: Mapping[str, tuple[str, int, str]] = {
    # name: (code, Windows key code, text)
    "Tab": ("Tab", 9, ""),
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    "Space": ("Space", 32, " "),
    "Backspace": ("Backspace", 8, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "End": ("End", 35, ""),
    "Home": ("Home", 36, ""),
}
_FIND = """(what => {
    const shown = e => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== 'hidden';
    const [, within, text] = /^(?:(.*) )?text=(.*)$/s.exec(what) ?? [];
    if (text === undefined) return [...document.querySelectorAll(what)].find(shown) ?? null;
    const kinds = 'a, button, [role], label, input, summary, th, td, tr, h1, h2, h3, div, span';
    // What holds much more than these words is not laid out to be read: that would take long.
    const may = e => (e.textContent ?? '').length < text.length + 200;
    const says = e => (e.innerText ?? e.value ?? '').trim() === text;
    const near = [...document.querySelectorAll(kinds)].filter(e => !within || e.matches(`${within} *`));
    const named = near.filter(e => may(e) && shown(e) && says(e));
    const acting = e => e.closest('a, button, [role=button], [role=tab], [role=option], [role=switch], summary, label');
    return named.find(acting) ?? named.at(-1) ?? null;
})"""
# In every document, before its own scripts: what toasts have said, which are soon gone, and whether a click has met.
_WATCH = """(() => {
    const driver = globalThis.driver = {said: [], aim: () => null, hit: undefined};
    const hear = () => document.querySelectorAll('.q-notification').forEach(
        e => driver.said.includes(e.innerText) || driver.said.push(e.innerText));
    new MutationObserver(hear).observe(document, {childList: true, characterData: true, subtree: true});
    driver.one = (e, met) => e.contains(met) || met.contains(e) || Boolean(met.closest('label')?.contains(e));
    addEventListener('click', event => {
        const e = driver.aim();
        driver.hit ||= e !== null && driver.one(e, event.target);
    }, true);
})()"""
# Its middle, once it stands still and a click there would meet it: what slides, fades or opens moves under the mouse of
# a program, which sees where it was and clicks where it is no more.
_REACH = """(async find => {
    const e = find();
    if (e === null) return null;
    const frame = () => new Promise(done => { requestAnimationFrame(done); setTimeout(done, 100); });
    const place = () => (box => [box.x + box.width / 2, box.y + box.height / 2])(e.getBoundingClientRect());
    e.scrollIntoView({block: 'center', inline: 'nearest', behavior: 'instant'});
    const before = place();
    await frame();
    await frame();
    const [x, y] = place();
    if (!e.isConnected || x !== before[0] || y !== before[1]) return null;
    const met = document.elementFromPoint(x, y);
    if (met === null || !driver.one(e, met)) return null;
    Object.assign(driver, {aim: find, hit: null});
    return [x, y];
})"""
# In one step: a dialog that has just opened may give the focus to another field at any moment.
_WRITE = """((e, text) => {
    if (e === null || e.value === text) return e !== null;
    e.focus();
    e.select();
    document.execCommand(text ? 'insertText' : 'delete', false, text);
    return e.value === text;
})"""


class BrowserError(AssertionError):
    """The page did not do what it was asked for."""


class Browser:
    """A running chromium. Pages share nothing: each has cookies and a cache of its own."""

    def __init__(self, wire: ClientConnection) -> None:
        self._wire = wire
        self._ids = itertools.count(1)
        self._pages: dict[str, Page] = {}

    @property
    def pages(self) -> set[Page]:
        """Those that are open."""
        return set(self._pages.values())

    def page(
        self,
        url: str = "about:blank",
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        phone: bool = False,
        zone: str = "",
    ) -> Page:
        """A new page at `url`, loaded."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, target, context)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.call("Page.setLifecycleEventsEnabled", enabled=True)
        page.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        page.resize(width, height, phone=phone)
        page.dark(dark)
        if zone:
            page.call("Emulation.setTimezoneOverride", timezoneId=zone)
        if url != "about:blank":
            page.goto(url)
        return page

    def call(self, method: str, session: str = "", **parameters: object) -> dict[str, Any]:
        """One command and its answer. What happens meanwhile is noted by its page."""
        number = next(self._ids)
        asked = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._wire.send(json.dumps(asked))
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                told = json.loads(self._wire.recv(max(0.0, deadline - time.monotonic())))
            except TimeoutError:
                raise BrowserError(f"{method}: no answer within {PATIENCE} s") from None
            if told.get("id") == number:
                break
            self._note(told)
        if "error" in told:
            raise BrowserError(f"{method}: {told['error']['message']}")
        result: dict[str, Any] = told["result"]
        return result

    def listen(self, seconds: float) -> None:
        """Note what happens for a moment."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._note(json.loads(self._wire.recv(left)))
            except TimeoutError:
                return

    def leave(self, session: str, context: str) -> None:
        """A page and all that was its own."""
        del self._pages[session]
        self.call("Target.disposeBrowserContext", browserContextId=context)

    def _note(self, told: dict[str, Any]) -> None:
        if page := self._pages.get(told.get("sessionId", "")):
            page.note(told["method"], told["params"])


class Page:
    """One page. `what` is a CSS selector, or `text=Words` for what shows these words exactly, or `.menu text=Words`."""

    def __init__(self, browser: Browser, session: str, target: str, context: str) -> None:
        self._browser, self._session, self._target, self._context = browser, session, target, context
        self.requests: list[str] = []
        """Every address it asked for."""
        self.console: list[str] = []
        """What went wrong in it: exceptions, errors, what a policy refused."""
        self._loaded = ""
        """The document whose load event came last, by its loader's id."""
        self.statuses: dict[str, int] = {}

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """A DevTools command for this page."""
        return self._browser.call(method, self._session, **parameters)

    def goto(self, url: str) -> None:
        """Go there; back when it has loaded."""
        before = self._document()
        told = self.call("Page.navigate", url=url)
        if told.get("errorText"):
            raise BrowserError(f"{url.partition('?')[0]}: {told['errorText']}")
        self._wait(lambda: self._loaded not in ("", before), f"{url.partition('?')[0]} to load")

    def reload(self) -> None:
        """The same again."""
        before = self._document()
        self.call("Page.reload")
        self._wait(lambda: self._loaded not in ("", before), "the page to load again")

    def eval(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are waited for."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if problem := told.get("exceptionDetails"):
            raise BrowserError(f"{expression}: {problem.get('exception', {}).get('description', problem['text'])}")
        return told["result"].get("value")

    def until(self, expression: str, within: float = PATIENCE) -> Any:
        """Wait until the expression is true, and say what it is. It may raise before: pages are drawn bit by bit."""
        return self._wait(lambda: self.eval(expression), expression, within)

    def text(self, what: str = "body") -> str:
        """What is to be read there."""
        return str(self.eval(f"{_FIND}({json.dumps(what)})?.innerText ?? ''"))

    def wait_for_text(self, words: str, what: str = "body", within: float = PATIENCE) -> None:
        """Wait until these words are to be read."""
        found = f"({_FIND}({json.dumps(what)})?.innerText ?? '').includes({json.dumps(words)})"
        try:
            self.until(found, within)
        except BrowserError:
            raise BrowserError(f"no {words!r} within {within} s in:\n{self.text(what)}") from None

    def wait_for_toast(self, words: str) -> None:
        """Wait until a toast has said these words, though it may be gone by now."""
        try:
            self.until(f"driver.said.some(said => said.includes({json.dumps(words)}))")
        except BrowserError:
            raise BrowserError(f"no toast said {words!r}, but {self.eval('driver.said')}") from None

    def click(self, what: str) -> None:
        """With the mouse, in its middle; again when something else came in between."""
        self._wait(lambda: self._clicked(what), f"a click to meet {what}")

    def hover(self, what: str) -> None:
        """Move the mouse there."""
        x, y = self._middle(what)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def fill(self, what: str, text: str) -> None:
        """Write `text` in place of what the field holds."""
        self.click(what)
        self.until(f"{_WRITE}({_FIND}({json.dumps(what)}), {json.dumps(text)})")

    def press(self, key: str, *, shift: bool = False) -> None:
        """A key by its name: Tab, Enter, ..., or one character."""
        code, number, text = _KEYS.get(key, (f"Key{key.upper()}", ord(key.upper()[0]), key))
        name = " " if key == "Space" else key
        shared = {"key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **shared)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """The window, or the screen of a phone."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def dark(self, on: bool) -> None:
        """What the person's system prefers."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        calm = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[scheme, calm])

    def close(self) -> None:
        """Leave it."""
        self._browser.leave(self._session, self._context)

    def screenshot(self, path: Path, *, full: bool = False) -> None:
        """A PNG of what is seen, or of all there is."""
        told = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        path.write_bytes(base64.b64decode(told["data"]))

    def listen(self, seconds: float) -> None:
        """Note what happens for a moment."""
        self._browser.listen(seconds)

    def note(self, method: str, told: Mapping[str, Any]) -> None:
        """Something happened."""
        match method:
            case "Page.lifecycleEvent" if told["name"] == "load" and told["frameId"] == self._target:
                self._loaded = told["loaderId"]
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(told["url"])
            case "Network.responseReceived":
                self.statuses[told["response"]["url"]] = told["response"]["status"]
            case "Runtime.exceptionThrown":
                problem = told["exceptionDetails"]
                self.console.append(problem.get("exception", {}).get("description", problem["text"]))
            case "Runtime.consoleAPICalled" if told["type"] == "error":
                self.console.append(" ".join(str(each.get("value", each)) for each in told["args"]))
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.console.append(f"{told['entry']['text']} ({told['entry'].get('url', '')})")

    def _document(self) -> str:
        found: str = self.call("Page.getFrameTree")["frameTree"]["frame"]["loaderId"]
        return found

    def _clicked(self, what: str) -> bool:
        x, y = self._middle(what)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        try:
            return bool(self.eval("driver.hit === undefined || driver.hit"))
        except BrowserError:
            return True  # It led to another document, which is not there yet.

    def _middle(self, what: str) -> tuple[float, float]:
        found = f"{_REACH}(() => {_FIND}({json.dumps(what)}))"
        try:
            x, y = self.until(found)
        except BrowserError:
            there = self.eval(f"{_FIND}({json.dumps(what)})?.outerHTML")
            raise BrowserError(f"{what} is not there, at rest, and to be met: {there}") from None
        return x, y

    def _wait[T](self, found: Callable[[], T], what: str, within: float = PATIENCE) -> T:
        deadline, problem = time.monotonic() + within, ""
        while True:
            try:
                if value := found():
                    return value
            except BrowserError as trouble:
                problem = f": {trouble}"
            if time.monotonic() > deadline:
                raise BrowserError(f"waited {within} s for {what}{problem}")
            self._browser.listen(0.05)


@contextmanager
def chrome(folder: Path) -> Iterator[Browser]:
    """A browser without a window, with a profile below `folder`. Ends with the context."""
    command = chromium.command(folder)
    log = folder / "chromium.log"
    with log.open("wb") as out, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as process:
        try:
            address = _address(folder, process, log)
            with connect(address, open_timeout=PATIENCE, max_size=None, compression=None, ping_interval=None) as wire:
                yield Browser(wire)
        finally:
            process.terminate()


def _address(folder: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    told = folder / "chromium" / "DevToolsActivePort"
    deadline = time.monotonic() + PATIENCE
    while not (told.is_file() and len(lines := told.read_text().splitlines()) == 2):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BrowserError(f"chromium did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
