"""Part of the stand-in; see ../README.md."""
