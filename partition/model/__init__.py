"""Values of the domain: immutable, valid when made, without I/O, clock or options."""
