"""What is for the operator alone, on a listener of its own. It names every project, and asks nobody who they are."""
