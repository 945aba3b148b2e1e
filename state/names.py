"""What names look like that a project file gives to its parts."""

NAME_PATTERN = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
NAME_RULE = "names start with a small letter and hold small letters, digits and single underscores."
