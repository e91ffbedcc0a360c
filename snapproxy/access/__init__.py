"""Who may ask: client networks, tokens with scopes, limits for each client. Decides; `web` enforces."""
