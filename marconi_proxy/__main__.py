"""``python -m marconi_proxy``: the program where its script is not on the path."""

from marconi_proxy.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
