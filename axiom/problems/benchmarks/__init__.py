"""Problems that others wrote, held out as a split of their own."""
