"""`nsclc-gtv`: lung tumours found, outlined and measured (Primakov et al. 2022)."""
