"""Files that survive: atomic writes, generations, one writer, journal and its records, signatures."""
