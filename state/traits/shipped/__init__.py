"""The trait sets that Millstream brings, one file each."""
