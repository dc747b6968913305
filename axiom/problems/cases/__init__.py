"""A problem's inputs and hidden cases: drawn, chosen by the mutants they kill, and audited."""
