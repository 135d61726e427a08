"""The Transformer: a sequence to another one."""
