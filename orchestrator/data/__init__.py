"""Movies: where they come from, whether they are whole, in which form a job reads them."""
