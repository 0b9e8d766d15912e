"""What device commands do, as functions that a notebook can call: no click, no torch."""
