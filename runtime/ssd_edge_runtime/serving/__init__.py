"""One model used by several threads: published snapshot, the two learners, inputs checked at the edge."""
