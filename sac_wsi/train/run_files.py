"""Names of the files that a run writes into its folder."""

STATE, BEST, LAST = "state.pt", "best.safetensors", "last.safetensors"
CONFIG, LOG, REPORT, SCORES = "config.json", "log.jsonl", "report.html", "scores.json"
