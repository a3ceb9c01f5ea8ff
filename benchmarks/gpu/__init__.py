"""What a machine with a GPU is asked in minutes: steps by value, each bounded in time and written at once."""
