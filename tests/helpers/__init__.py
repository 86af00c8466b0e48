"""What several tests share: phantoms, samples, real peers, and processes of the service."""
