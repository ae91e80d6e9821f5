"""OAuth: how an account of the operator is signed in, kept signed in, and signed out."""
