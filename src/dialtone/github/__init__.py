"""GitHub Actions: what a workflow's steps do, so that they stay one line each."""
