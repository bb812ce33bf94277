//! What is known of the traced machine: BTF, symbols, system calls.
