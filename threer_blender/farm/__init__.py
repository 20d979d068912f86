"""[S] Many shots: lists of them, the tasks that reconstruct them, and jobs that run these tasks on a farm."""
