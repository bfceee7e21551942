"""Running the server: options, sockets, processes, and the command line. The only package that imports all others."""
