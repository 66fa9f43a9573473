"""What approximate search loses: exact search, and match recall measured for the gates and in live searches."""
