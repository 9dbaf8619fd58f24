"""What of persam works on this machine, found out by trying it, and what mends the rest."""
