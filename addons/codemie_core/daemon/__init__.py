"""A proxy in the background: started, watched, asked, ended."""
