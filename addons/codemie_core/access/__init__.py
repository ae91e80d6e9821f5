"""Who may use the proxy: client keys, and the guard against web pages. No mitmproxy in here."""
