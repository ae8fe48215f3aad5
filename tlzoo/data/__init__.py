"""Sources, tasks and samplers."""
