//! Text to AST: lexer and parser on nom, preprocessor, macros.

pub mod ast;
