"""The command line: ``marconi-proxy NOUN VERB``. ``commands`` lists every one; a module per noun has them.

Data goes to standard output, all messages to standard error. Modules import their dependencies late: a command starts
in a fraction of a second, and ``--help`` imports them all.
"""
