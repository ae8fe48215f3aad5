"""What other libraries made, used here; each is imported when it is asked for."""
