"""Pages for people, made on the server: plain HTML and one style sheet, no script."""
