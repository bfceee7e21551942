"""The admin API as its clients here call it, the command line and the quickstart. Knows paths and JSON, no commands."""
