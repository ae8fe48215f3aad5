"""The data sets, one module each: how their sources are read, and which tasks they provide."""
