"""Access of clients: networks, tokens with scopes, limits for each client. Decides; `web` enforces."""
