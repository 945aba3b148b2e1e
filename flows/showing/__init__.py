"""Reports as rows of tables: commands print them, flows leave them as artifacts."""
