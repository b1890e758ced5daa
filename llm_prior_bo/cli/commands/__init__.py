"""The commands, one file each: a module holds a function of its name that returns an `Output`."""
