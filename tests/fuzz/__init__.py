"""What readers do with damaged files and files made to do harm: mutated examples, counted kind by kind."""
