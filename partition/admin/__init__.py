"""The API for the operator alone, on a separate listener. It lists every project, and has no authentication."""
