"""What somebody who does not see a page, or sees it badly, or has no mouse, would stumble over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.devtools import Page

_NAMED = frozenset(
    {
        *("button", "link", "textbox", "searchbox", "combobox", "listbox", "switch", "checkbox", "radio", "spinbutton"),
        *("slider", "tab", "menuitem", "table", "navigation", "img", "image", "dialog", "group", "search", "log"),
    }
)
"""Roles that say nothing without a name."""
_FAINT = """(() => {
  // As it is when all has come to rest: half of the way from one color to another is neither.
  for (const each of document.getAnimations()) try { each.finish() } catch { each.cancel() }
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = color => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = color; paint.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((value, at) => value * top[3] + below[at] * (1 - top[3]));
  const light = rgb => {
    const [r, g, b] = rgb.map(value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3]) layers.push(color);
      if (color[3] > 0.99) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const veiled = element => { for (let at = element; at; at = at.parentElement)
    if (Number(getComputedStyle(at).opacity) < 1 || at.disabled || at.ariaDisabled === 'true'
        || at.getAttribute('aria-hidden') === 'true') return true; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = new Set();
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement, style = element && getComputedStyle(element);
    if (!node.data.trim() || !style || style.visibility === 'hidden' || !element.getClientRects().length) continue;
    if (element.closest('script, style, svg, .cm-hidden') || veiled(element)) continue;
    const below = behind(element), color = over(rgba(style.color), below);
    const [dark, bright] = [light(color), light(below)].sort((one, other) => one - other);
    const ratio = (bright + 0.05) / (dark + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const what = `${ratio.toFixed(2)}: ${node.data.trim().slice(0, 40)} (${element.className})`;
    if (ratio < (large ? 3 : 4.5)) found.add(what);
  }
  return [...found];
})()"""
_FOCUSED = """(() => {
  const at = document.activeElement, style = getComputedStyle(at), around = at.getBoundingClientRect();
  const ring = element => { const own = getComputedStyle(element);
    return (own.outlineStyle !== 'none' && parseFloat(own.outlineWidth) > 0) || own.boxShadow !== 'none'; };
  const field = at.closest('.q-field, .q-toggle, .q-checkbox');
  return {tag: at.tagName, name: at.ariaLabel || at.innerText?.trim() || at.getAttribute('aria-label') || '',
    seen: at === document.body || ring(at) || (field !== null), top: around.top, bottom: around.bottom};
})()"""


def nameless(page: Page) -> list[str]:
    """Controls and landmarks that a screen reader has no name for."""
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    return [f"{_value(node, 'role')}: {_properties(node)}" for node in nodes if _needs_name(node)]


def faint(page: Page) -> list[str]:
    """Text with less contrast than WCAG's AA asks for."""
    found: list[str] = page.eval(_FAINT)
    return found


def outline(page: Page) -> dict[str, Any]:
    """Its language, title, landmarks and first heading."""
    found: dict[str, Any] = page.eval(
        "({lang: document.documentElement.lang, title: document.title,"
        " main: document.querySelectorAll('main, [role=main]').length, nav: document.querySelectorAll('nav').length,"
        " h1: [...document.querySelectorAll('h1')].map(each => each.innerText)})"
    )
    return found


def tabbed(page: Page, most: int = 40) -> Iterator[dict[str, Any]]:
    """What has the focus, one press of Tab after the other, until it leaves the page or comes round."""
    seen = set()
    for _ in range(most):
        page.press("Tab")
        found: dict[str, Any] = page.eval(_FOCUSED)
        mark = (found["tag"], found["name"], round(found["top"]))
        if found["tag"] == "BODY" or mark in seen:
            return
        seen.add(mark)
        yield found


def _needs_name(node: dict[str, Any]) -> bool:
    return not node["ignored"] and _value(node, "role") in _NAMED and not _value(node, "name").strip()


def _value(node: dict[str, Any], what: str) -> str:
    return str(node.get(what, {}).get("value", ""))


def _properties(node: dict[str, Any]) -> str:
    return ", ".join(f"{one['name']}={one['value'].get('value')}" for one in node.get("properties", []))
