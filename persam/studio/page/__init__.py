"""What the page shows: a tab a file, over `studio.session`. Gradio is imported in functions alone."""
