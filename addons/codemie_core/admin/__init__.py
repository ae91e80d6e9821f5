"""The operator's side: an API, pages and live events on a port of their own, never in the way of a stream."""
