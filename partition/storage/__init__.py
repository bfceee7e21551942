"""The stores of queues: one interface, selected by the scheme of a URI, and the drivers behind it."""
