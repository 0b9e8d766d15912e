"""Does the file hold what it should: report, checks, against a run, as a torch network."""
