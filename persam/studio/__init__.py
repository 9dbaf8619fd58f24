"""The web page of `persam serve`: what it does (without gradio), and the page and the HTTP interface over it."""
