//! Tapset library, aliases, probe points, functions.
