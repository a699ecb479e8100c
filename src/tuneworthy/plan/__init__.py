"""The plan: memory, hours, euros, licence and privacy, before anything is spent. `plan.make` puts it together."""
