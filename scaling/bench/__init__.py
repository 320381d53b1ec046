"""What `tinyscale bench` measures: rates and ratios on this machine, side by side in one run."""
