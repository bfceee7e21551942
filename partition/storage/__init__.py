"""Where queues are kept: one interface, found by the scheme of a URI, and the drivers behind it."""
