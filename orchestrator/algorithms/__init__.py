"""What is declared of algorithms: their folders, their parameters, the experiments that were published of them."""
