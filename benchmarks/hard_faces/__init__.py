"""How many faces that are hard to find a detector finds, in pictures made from real photos."""
