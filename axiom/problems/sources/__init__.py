"""Problems that others made: HumanEval and the datasets of reasoning-gym."""
