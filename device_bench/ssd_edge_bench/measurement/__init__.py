"""Fresh processes, raw values, intervals, results and their comparison."""
