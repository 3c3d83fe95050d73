"""Print the README's code block that follows the line `<!-- command: NAME -->`."""

import re
import sys
from pathlib import Path

text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
block = re.search(rf"<!-- command: {re.escape(sys.argv[1])} -->\n+```bash\n(.*?)```", text, re.DOTALL)
if block is None:
    sys.exit(f"README.md has no command {sys.argv[1]!r}")
print(block.group(1))
