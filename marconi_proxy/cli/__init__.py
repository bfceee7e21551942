"""The command line: ``marconi-proxy NOUN VERB``. ``commands`` lists every one; a module per noun has them.

Data goes to standard output, everything said about it to standard error. Modules import what they need late: a command
starts in a fraction of a second, and ``--help`` imports them all.
"""
