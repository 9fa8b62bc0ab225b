"""Ways to infer: each a frozen value of settings whose `sample` draws from a `Joint`, one file per method."""
