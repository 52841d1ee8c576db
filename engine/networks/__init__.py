"""Networks: bridges, addresses, published ports, name resolution."""
