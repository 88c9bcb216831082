"""The nouns: ids, commands, entries, events, errors, limits. Values only; nothing here acts."""
