"""``python -m ssd_edge``: the command line."""

from ssd_edge.cli import main

if __name__ == "__main__":
    main()
