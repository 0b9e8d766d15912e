"""Which weights stay, and what is fitted afterwards."""
