"""What is computed from draws: table rows, summaries, derived quantities."""
