"""Looking at what was done: the report of a run and its pictures."""
