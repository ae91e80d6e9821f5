"""What a browser sees that nobody has signed in with: how to get in. It needs nothing else of this proxy."""

from __future__ import annotations

from html import escape

from codemie_core.admin.pages.icons import icon
from codemie_core.admin.pages.theme import asset


def page(why: str = "") -> str:
    """The whole page. `why` is said first: the code was used before, or is too old."""
    said = f'<p class="cm-banner warn" role="status">{escape(why)}</p>' if why else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>Sign in · CodeMie proxy</title>
<script>{asset("frame.js")}</script>
<style>{asset("theme.css")}{asset("controls.css")}{asset("sign_in.css")}</style>
</head>
<body class="gate">
<main>
<div class="cm-brand">{icon("brand")}CodeMie proxy</div>
<h1>Open this page from your terminal</h1>
{said}
<p>This shows what your agents do, so it asks who you are. A new link signs you in; each one works once.</p>
<code class="cm-code">codemie-proxy open</code>
<form>
<label for="token">Or paste the token</label>
<input id="token" name="token" type="password" autocomplete="off" spellcheck="false" required
aria-describedby="where">
<p class="cm-note" id="where">It is in the file <span class="cm-mono">proxy/admin.token</span> of the proxy's home,
which is <span class="cm-mono">~/.codemie</span> unless CODEMIE_HOME names another.</p>
<p class="cm-banner bad" role="alert"></p>
<button class="cm-button primary" type="submit">Sign in</button>
</form>
</main>
<script>{asset("sign_in.js")}</script>
</body>
</html>
"""
