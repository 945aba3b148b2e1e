"""The commands, in modules by what people want to do; importing one declares its commands."""
