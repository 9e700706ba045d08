"""The HTTP resources in Microsoft Graph's shape, as plain functions: what was asked and what is known -> an answer."""
