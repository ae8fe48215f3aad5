"""The data sets, one module each: what is read of a source, and the tasks that are made of it."""
