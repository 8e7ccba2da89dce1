"""The demo: private semantic search with a real sentence encoder."""
