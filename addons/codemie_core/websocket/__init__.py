"""What a WebSocket between an agent and its API may take, and how it ends. Nothing in here knows mitmproxy."""
