"""Face packs: the catalogue, how a pack gets onto this machine, and one loader per kind of pack."""
