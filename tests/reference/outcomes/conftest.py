"""The scripts here are no tests: they need programs that the project does not install."""

collect_ignore_glob = ["*"]
