"""Looking at configs without a run: what they make, whether they hold, how they transfer."""
