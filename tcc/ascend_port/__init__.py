"""The command line of the Ascend port of TCC: its flags, its published settings and its log, over this library."""
