"""The request log: records from hooks, a thread that makes lines of them, a file per day. No mitmproxy in here."""
