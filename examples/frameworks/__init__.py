"""The manager inside other frameworks, by their own hooks: a file each, and none of them needs the others' packages."""
