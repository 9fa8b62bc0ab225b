"""Why a fault may stay unnoticed, by its name."""

REASONS: dict[str, str] = {}
