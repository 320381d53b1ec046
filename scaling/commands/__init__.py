"""The subcommands of `tinyscale` that train, prepare data and sample; one a file."""
