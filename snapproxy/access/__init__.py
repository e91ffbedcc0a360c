"""Access of clients: networks, and tokens with scopes. It decides; `web` enforces."""
