"""Networks with state that methods and modules share."""
