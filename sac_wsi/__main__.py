"""`python -m sac_wsi`, where the command is not on the path."""

from sac_wsi.cli import main

if __name__ == "__main__":
    main()
