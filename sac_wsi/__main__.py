"""Run the command line as `python -m sac_wsi`, if `sac-wsi` is not on the PATH."""

from sac_wsi.cli import main

if __name__ == "__main__":
    main()
