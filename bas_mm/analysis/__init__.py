"""Studies of localizers: reports, comparisons, ablations."""
