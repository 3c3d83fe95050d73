"""Where a slide says how large its pixels are."""
