"""The rows of `quorate demo` for the reference store: `rows.toml` names a plan for each, and what it is there to show."""
